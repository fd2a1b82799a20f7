package answer

import (
	"context"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// walker walks over an answer for an expression of XPath, which knows no
// deadline: one expression may look at every node for every node, and a source
// decides how many those are. It stops with a panic of tooLong.
type walker struct {
	*xmlquery.NodeNavigator
	ctx   context.Context
	steps *int
}

// tooLong is what a walker panics with when its context is over.
type tooLong struct{ error }

// checkEvery is how many steps a walker makes between two looks at its context.
const checkEvery = 256

func newWalker(ctx context.Context, top *xmlquery.Node) *walker {
	return &walker{NodeNavigator: xmlquery.CreateXPathNavigator(top), ctx: ctx, steps: new(int)}
}

func (w *walker) step() {
	if *w.steps++; *w.steps%checkEvery == 0 {
		w.check()
	}
}

func (w *walker) check() {
	if err := w.ctx.Err(); err != nil {
		panic(tooLong{err})
	}
}

// Copy implements xpath.NodeNavigator.
func (w *walker) Copy() xpath.NodeNavigator {
	w.step()
	c := *w
	c.NodeNavigator = w.NodeNavigator.Copy().(*xmlquery.NodeNavigator)
	return &c
}

// MoveTo implements xpath.NodeNavigator.
func (w *walker) MoveTo(other xpath.NodeNavigator) bool {
	o, ok := other.(*walker)
	return ok && w.NodeNavigator.MoveTo(o.NodeNavigator)
}

// Value implements xpath.NodeNavigator. It may gather all of the answer's text.
func (w *walker) Value() string {
	w.check()
	return w.NodeNavigator.Value()
}

// MoveToParent implements xpath.NodeNavigator.
func (w *walker) MoveToParent() bool {
	w.step()
	return w.NodeNavigator.MoveToParent()
}

// MoveToChild implements xpath.NodeNavigator.
func (w *walker) MoveToChild() bool {
	w.step()
	return w.NodeNavigator.MoveToChild()
}

// MoveToNext implements xpath.NodeNavigator.
func (w *walker) MoveToNext() bool {
	w.step()
	return w.NodeNavigator.MoveToNext()
}

// MoveToPrevious implements xpath.NodeNavigator.
func (w *walker) MoveToPrevious() bool {
	w.step()
	return w.NodeNavigator.MoveToPrevious()
}
