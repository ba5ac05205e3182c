# fish completion for rl-ps. "make completion" makes it from the options; do not edit.

complete -c rl-ps -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_ps_words
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

complete -c rl-ps -l all -s a -d 'all, not only those that run'
complete -c rl-ps -l json -d 'one JSON array, with all that there is to tell'
complete -c rl-ps -l ns -d 'each namespace with its inode, and who else is in it'
complete -c rl-ps -l quiet -s q -d 'names alone'
complete -c rl-ps -l help -d 'say what there is'
