# fish completion for rl-doctor. "make completion" makes it from the options; do not edit.

complete -c rl-doctor -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_doctor_words
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

complete -c rl-doctor -l json -d 'a list of objects with part, health, text and mend'
complete -c rl-doctor -l help -d 'say what there is'
