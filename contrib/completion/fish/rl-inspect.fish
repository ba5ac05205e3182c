# fish completion for rl-inspect. "make completion" makes it from the options; do not edit.

complete -c rl-inspect -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_inspect_words
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

complete -c rl-inspect -l show-secrets -d 'values of environment variables, not names alone'
complete -c rl-inspect -l help -d 'say what there is'
complete -c rl-inspect -a '(rl-ps -aq 2>/dev/null)'
