# fish completion for rl-exec. "make completion" makes it from the options; do not edit.

complete -c rl-exec -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_exec_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --user -u --workdir -w --env -e --env-file
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l user -s u -x -d 'names of the container\'s own passwd, or ids (those'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l workdir -s w -x -a '(__fish_complete_directories (commandline -ct | string replace -r "^--?[a-z-]*=" ""))' -d '(that of its command)'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l env -s e -x -a 'K K=V' -d 'beside the environment of its command'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l env-file -r -F -d 'beside the environment of its command'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l tty -s t -a 'false' -d 'a terminal (when stdin and stdout are terminals)'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l interactive -s i -a 'false' -d 'connect stdin (it is)'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l detach -s d -d 'leave the command to run; what it writes is lost'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l explain -a 'text json' -d 'print the plan and start nothing'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l show-secrets -d 'values of -e in the printed plan, not names alone'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l verbose -s V -d 'print each step as it runs'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l timing -d 'print how long each step took'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l quiet -s q -d 'no notes'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -l help -d 'say what there is'
complete -c rl-exec -n 'not __rl_exec_words >/dev/null' -a '(rl-ps -aq 2>/dev/null)'
