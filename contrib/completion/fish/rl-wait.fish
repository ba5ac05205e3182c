# fish completion for rl-wait. "make completion" makes it from the options; do not edit.

complete -c rl-wait -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_wait_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word 
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-wait -l help -d 'say what there is'
complete -c rl-wait -a '(rl-ps -aq 2>/dev/null)'
