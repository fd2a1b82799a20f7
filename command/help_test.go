package command

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"ringhook/conf"
)

// maxHelp is the maximum length of the help text of a command.
const maxHelp = 70

// TestHelp checks that each command stands in a group of the help, and that its text is one short sentence.
func TestHelp(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("ringhook"), kong.Vars{"version": "", "file": conf.DefaultFile}, kong.ExplicitGroups(groups))
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		c, ok := node.(*kong.Node)
		if !ok || c.Type != kong.CommandNode || c.Hidden {
			return next(nil)
		}
		if group := c.ClosestGroup(); group == nil || !slices.ContainsFunc(groups, func(g kong.Group) bool { return g.Key == group.Key }) {
			t.Errorf("%s is in no group of the help", c.FullPath())
		}
		if c.Help == "" || len(c.Help) > maxHelp || !strings.HasSuffix(c.Help, ".") && !strings.Contains(c.Help, ": ") {
			t.Errorf("%s: the help %q is not a sentence of at most %d characters", c.FullPath(), c.Help, maxHelp)
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
