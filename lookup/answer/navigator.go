package answer

import (
	"context"
	"strings"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// deadlineNavigator walks over an answer for an expression of XPath, which has no
// deadline: one expression may look at every node for every node, and a source
// decides how many those are. It stops with a panic of errDeadline.
type deadlineNavigator struct {
	*xmlquery.NodeNavigator
	ctx   context.Context
	steps *int
	// read is the number of bytes that an expression with replace() or the like has read, nil for other expressions.
	read *int
}

// errDeadline is the panic that ends the evaluation of an answer, such as that of a deadlineNavigator when its context is over.
type errDeadline struct{ error }

// checkEvery is the number of steps between two looks at the context.
const checkEvery = 256

func newNavigator(ctx context.Context, top *xmlquery.Node, bounded bool) *deadlineNavigator {
	n := &deadlineNavigator{NodeNavigator: xmlquery.CreateXPathNavigator(top), ctx: ctx, steps: new(int)}
	if bounded {
		n.read = new(int)
	}
	return n
}

func (n *deadlineNavigator) step() {
	if *n.steps++; *n.steps%checkEvery == 0 {
		n.check()
	}
}

func (n *deadlineNavigator) check() {
	if err := n.ctx.Err(); err != nil {
		panic(errDeadline{err})
	}
}

// Copy implements xpath.NodeNavigator.
func (n *deadlineNavigator) Copy() xpath.NodeNavigator {
	n.step()
	c := *n
	c.NodeNavigator = n.NodeNavigator.Copy().(*xmlquery.NodeNavigator)
	return &c
}

// MoveTo implements xpath.NodeNavigator.
func (n *deadlineNavigator) MoveTo(other xpath.NodeNavigator) bool {
	o, ok := other.(*deadlineNavigator)
	return ok && n.NodeNavigator.MoveTo(o.NodeNavigator)
}

// Value implements xpath.NodeNavigator. It may collect all of the answer's text.
func (n *deadlineNavigator) Value() string {
	n.check()
	text := n.NodeNavigator.Value()
	if n.read == nil {
		return text
	}
	text = text[:min(len(text), maxText)]
	if *n.read += len(text); *n.read > maxRead {
		panic(errDeadline{errReads})
	}
	return strings.ToValidUTF8(text, "")
}

// MoveToParent implements xpath.NodeNavigator.
func (n *deadlineNavigator) MoveToParent() bool {
	n.step()
	return n.NodeNavigator.MoveToParent()
}

// MoveToChild implements xpath.NodeNavigator.
func (n *deadlineNavigator) MoveToChild() bool {
	n.step()
	return n.NodeNavigator.MoveToChild()
}

// MoveToNext implements xpath.NodeNavigator.
func (n *deadlineNavigator) MoveToNext() bool {
	n.step()
	return n.NodeNavigator.MoveToNext()
}

// MoveToPrevious implements xpath.NodeNavigator.
func (n *deadlineNavigator) MoveToPrevious() bool {
	n.step()
	return n.NodeNavigator.MoveToPrevious()
}
