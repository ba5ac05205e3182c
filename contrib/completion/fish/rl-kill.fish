# fish completion for rl-kill. "make completion" makes it from the options; do not edit.

complete -c rl-kill -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_kill_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --signal -s
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-kill -l signal -s s -x -a 'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS' -d 'a name with or without SIG, or a number (KILL)'
complete -c rl-kill -l help -d 'say what there is'
complete -c rl-kill -a '(rl-ps -aq 2>/dev/null)'
