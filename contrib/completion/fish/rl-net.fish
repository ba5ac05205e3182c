# fish completion for rl-net. "make completion" makes it from the options; do not edit.

complete -c rl-net -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_net_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --subnet
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-net -n 'string match -q -- create (__rl_net_words)[1]' -l internal -d 'no way out, and no names from outside'
complete -c rl-net -n 'string match -q -- create (__rl_net_words)[1]' -l subnet -x -d 'IPv4 addresses, like 10.9.8.0/24 (what is free)'
complete -c rl-net -n 'string match -q -- ls (__rl_net_words)[1]' -l quiet -s q -d 'names alone'
complete -c rl-net -n 'string match -q -- ls (__rl_net_words)[1]' -l json -d 'one JSON array, with all that there is to tell'
complete -c rl-net -n 'string match -q -- inspect (__rl_net_words)[1]' -a '(rl-net ls 2>/dev/null | string replace -rf "^(\\\\S+).*" "\\$1" | tail -n +2)'
complete -c rl-net -n 'string match -q -- rm (__rl_net_words)[1]' -l force -s f -d 'no error where there is no network of a name'
complete -c rl-net -n 'string match -q -- rm (__rl_net_words)[1]' -a '(rl-net ls 2>/dev/null | string replace -rf "^(\\\\S+).*" "\\$1" | tail -n +2)'
complete -c rl-net -n 'not __rl_net_words' -a 'create ls inspect rm prune start stop'
complete -c rl-net -l help -d 'say what there is'
