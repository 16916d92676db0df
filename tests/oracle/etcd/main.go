// The other side of the oracle: etcd's raft, told the same as ours.
//
// One line in, one line out.  A line is a list of commands, separated by " ; "; the first says what
// there is in the beginning, and what is said of each of the others is separated by " ; " as well:
//
//	member SELF TERM VOTE BASE BASE_TERM TERMS CONFIG     one member (script.go)
//	group NODES CONFIG                                    a group (group.go)
//
// How states, messages and memberships are written is in text.go.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

const lineBytesMax = 1 << 22

// answer runs one line.  What etcd panics about is an answer, too; the line ends there.
func answer(line string) string {
	var out []string

	func() {
		defer func() {
			if r := recover(); r != nil {
				out = append(out, fmt.Sprintf("panic %v", r))
			}
		}()
		run(strings.Split(line, " ; "), func(said string) { out = append(out, said) })
	}()
	return strings.ReplaceAll(strings.Join(out, " ; "), "\n", " ")
}

func run(commands []string, say func(string)) {
	begin := strings.Fields(commands[0])

	switch begin[0] {
	case "member":
		s := newScript(begin[1:])
		for _, command := range commands[1:] {
			say(s.step(strings.Fields(command)))
		}
	case "group":
		g := newGroup(begin[1:])
		for _, command := range commands[1:] {
			say(g.step(strings.Fields(command)))
		}
	default:
		panic("unknown beginning " + begin[0])
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<16), lineBytesMax)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		fmt.Fprintln(out, answer(in.Text()))
		if err := out.Flush(); err != nil {
			os.Exit(1)
		}
	}
}
