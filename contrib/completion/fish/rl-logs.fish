# fish completion for rl-logs. "make completion" makes it from the options; do not edit.

complete -c rl-logs -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_logs_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --tail
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-logs -l follow -s f -d 'go on with what it writes from now on'
complete -c rl-logs -l tail -x -d 'no more than the last N lines of what there is (all)'
complete -c rl-logs -l help -d 'say what there is'
complete -c rl-logs -n 'not __rl_logs_words >/dev/null' -a '(rl-ps -aq 2>/dev/null)'
