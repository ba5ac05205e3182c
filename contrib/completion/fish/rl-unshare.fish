# fish completion for rl-unshare. "make completion" makes it from the options; do not edit.

complete -c rl-unshare -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_unshare_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --userns --uidmap --gidmap
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-unshare -n 'not __rl_unshare_words >/dev/null' -l userns -x -a 'auto single keep-id' -d 'single: your own id alone; keep-id: your own ids inside'
complete -c rl-unshare -n 'not __rl_unshare_words >/dev/null' -l uidmap -x -d 'N ids from C inside stand for those from H outside'
complete -c rl-unshare -n 'not __rl_unshare_words >/dev/null' -l gidmap -x -d 'N ids from C inside stand for those from H outside'
complete -c rl-unshare -n 'not __rl_unshare_words >/dev/null' -l quiet -s q -d 'no notes'
complete -c rl-unshare -n 'not __rl_unshare_words >/dev/null' -l help -d 'say what there is'
complete -c rl-unshare -a '(__fish_complete_command)'
