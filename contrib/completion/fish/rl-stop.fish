# fish completion for rl-stop. "make completion" makes it from the options; do not edit.

complete -c rl-stop -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_stop_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --time -t
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-stop -l time -s t -x -d 'how long to wait before the kill (10); -1 waits for ever'
complete -c rl-stop -l help -d 'say what there is'
complete -c rl-stop -a '(rl-ps -aq 2>/dev/null)'
