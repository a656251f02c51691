# shellcheck shell=bash
# Serves commands, one per line of standard input: the first word names a function command_WORD, the other words are its
# arguments. The output of each command is followed by a line with the control character 4 and the exit status. The file with
# the commands precedes this one in the program. The client is src/docker/shell-session.ts.
while read -ra words; do
  "command_${words[0]}" "${words[@]:1}"
  printf '\004%d\n' $?
done
