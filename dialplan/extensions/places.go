package extensions

import (
	"slices"
	"strings"

	"ringhook/dialplan"
)

// linkKind is how one place of the dialplan leads to another.
type linkKind int

const (
	goesTo    linkKind = iota // Goto, GotoIf
	calls                     // Gosub, GosubIf, Macro: comes back
	atHangup                  // a hangup handler is pushed
	onAnswer                  // Dial's U() and M(), Queue's subroutine
	onChannel                 // Dial's b() and B()
)

// link is one place that leads to another.
type link struct {
	from   *step
	kind   linkKind
	target target
	to     *extension // nil where it is not found
	in     *context
	known  bool // a to of nil means that there is none
	macro  bool
}

// linksOf finds where a step leads.
func (l *linter) linksOf(st *step) []link {
	var all []link
	add := func(kind linkKind, t target, macro bool) {
		k := link{from: st, kind: kind, target: t, macro: macro}
		k.to, k.in, k.known = l.plan.resolve(t, st.ctx, st.ext)
		all = append(all, k)
	}
	subroutine := func(options string, letter byte, kind linkKind) {
		if value, ok := option(options, letter); ok && value != "" {
			add(kind, parseSubroutine(value), false)
		}
	}
	for _, c := range st.leaves() {
		switch {
		case c.is("Goto"):
			add(goesTo, parseTarget(c.data, ","), false)
		case c.is("Gosub", "Macro"):
			add(calls, gosubTarget(c), c.is("Macro"))
		case c.is("Set"):
			name, value, _ := strings.Cut(c.data, "=")
			switch strings.ToLower(strings.ReplaceAll(name, " ", "")) {
			case "channel(hangup_handler_push)", "channel(hangup_handler_wipe)":
				add(atHangup, parseTarget(value, ","), false)
			}
		case c.is("Dial"):
			args := arguments(l.plan.global(c.data))
			if len(args) < 3 {
				continue
			}
			subroutine(args[2], 'U', onAnswer)
			subroutine(args[2], 'b', onChannel)
			subroutine(args[2], 'B', onChannel)
			if name, ok := option(args[2], 'M'); ok {
				name, _, _ = strings.Cut(name, "^")
				add(onAnswer, target{context: "macro-" + name, exten: "s", priority: "1", parts: 3}, true)
			}
		case c.is("Queue"):
			// The seventh is a macro on 16 and the subroutine on 22, the eighth the subroutine on 16.
			for i, name := range arguments(l.plan.global(c.data)) {
				if name = strings.TrimSpace(name); (i == 6 || i == 7) && l.plan.contexts[name] != nil {
					add(onAnswer, target{context: name, exten: "s", priority: "1", parts: 3}, false)
				}
			}
		}
	}
	return all
}

// reach is what happens from a place on.
type reach struct {
	points map[dialplan.Point]bool
	doubt  bool // something of it is not known
}

func (r reach) any(points ...dialplan.Point) bool {
	return slices.ContainsFunc(points, func(p dialplan.Point) bool { return r.points[p] })
}

// reachOf follows the dialplan from an extension's first priority.
func (l *linter) reachOf(ext *extension) reach {
	if r, known := l.lives[ext]; known {
		return r
	}
	r := reach{points: map[dialplan.Point]bool{}}
	seen := map[*extension]bool{ext: true}
	for todo := []*extension{ext}; len(todo) > 0; todo = todo[1:] {
		for _, st := range todo[0].steps {
			for _, a := range l.asksAt[st] {
				r.points[a.point] = true
			}
			if l.unclear(st) {
				r.doubt = true
			}
			for _, k := range l.linksFrom[st] {
				switch {
				case k.kind != goesTo && k.kind != calls:
				case k.to != nil:
					if !seen[k.to] {
						seen[k.to] = true
						todo = append(todo, k.to)
					}
				case k.target.context == "macro-hangupcall": // FreePBX's own, which ends the call
				default:
					r.doubt = true
				}
			}
		}
	}
	l.lives[ext] = r
	return r
}

// unclear reports an AGI() whose point a variable has.
func (l *linter) unclear(st *step) bool {
	if l.helpers[st.ext] != nil {
		return false
	}
	return slices.ContainsFunc(l.urls(st), func(u agiURL) bool { return strings.Contains(u.path, "$") })
}

// hangupOf is the h of a context; known is false where it may be in a part that
// is not here.
func (l *linter) hangupOf(ctx *context) (h *extension, known bool) {
	h, _, known = l.plan.find(ctx.name, "h")
	return h, known
}

// work is what begins at one point, and what reports its end.
type work struct {
	begin dialplan.Point
	ends  []dialplan.Point
	app   string // during which it goes on
	what  string
}

var works = []work{
	{dialplan.QueueDial, []dialplan.Point{dialplan.QueueHangup}, "Queue", "a visit to the queue"},
	{dialplan.AgentDial, []dialplan.Point{dialplan.AgentHangup, dialplan.AgentCancel}, "Dial", "the ring of an agent's phone"},
	{dialplan.AgentDialoutAnswer, []dialplan.Point{dialplan.AgentDialoutHangup, dialplan.AgentHangup}, "", "an outgoing call"},
	{dialplan.AgentCustom, []dialplan.Point{dialplan.AgentDialoutHangup, dialplan.AgentHangup, dialplan.AgentCancel}, "Dial", "an outgoing call"},
}

// places checks that each point stands where it can work.
func (l *linter) places() {
	l.handlers()
	for _, a := range l.asks {
		l.inH(a)
		l.inOrder(a)
		l.inQueue(a)
	}
	l.ends()
	l.subroutines()
	l.status()
}

// handlers checks where hangup handlers and the other subroutines are.
func (l *linter) handlers() {
	for _, k := range l.links {
		if k.kind == goesTo || k.to != nil || k.macro {
			continue
		}
		name := l.plan.global(k.target.context)
		if strings.Contains(name+k.target.exten, "$") {
			continue
		}
		switch ctx := l.plan.contexts[name]; {
		case ctx == nil && l.plan.whole && (name == "ringhook" || strings.HasPrefix(name, "ringhook-")):
			l.add(k.from.at, Error, "helper", "the context %s is neither in this file nor in those that it includes, and %s: "+
				"#include extensions_ringhook.conf, or check the file that includes both", shown(name), k.lost())
		case ctx != nil && k.known && l.helperContext(name):
			l.add(k.from.at, Error, "helper", "the context %s has no extension %s, and %s", shown(name), quoted(k.target.exten), k.lost())
		}
	}
}

// lost is what comes of a link that leads nowhere.
func (k link) lost() string {
	if k.kind == calls {
		return "a Gosub() to it ends the call"
	}
	return "nothing is asked there"
}

// inH finds what begins where the call is over.
func (l *linter) inH(a *ask) {
	begins := slices.Contains([]dialplan.Point{dialplan.CallDial, dialplan.CallAnswer, dialplan.QueueDial, dialplan.AgentDial, dialplan.AgentAnswer,
		dialplan.AgentCustom, dialplan.AgentDialoutAnswer}, a.point)
	switch {
	case begins && a.step.ext.name == "h":
		l.add(a.step.at, Error, "place", "%s tells that something begins, and stands in h, which runs after the hangup", a.point)
	case begins && slices.ContainsFunc(l.links, func(k link) bool { return k.kind == atHangup && k.to == a.step.ext }):
		l.add(a.step.at, Error, "place", "%s tells that something begins, and stands in a hangup handler", a.point)
	case a.point == dialplan.CallHangup && a.step.ext.name == "h" && l.members(a.step.ctx):
		l.add(a.step.at, Warning, "place", "where the queue's members are Local channels in %s, call-hangup in its h ends the call with the first phone that stops ringing: "+
			"push a hangup handler on the caller's channel, Set(CHANNEL(hangup_handler_push)=...), and call it there", shown(a.step.ctx.name))
	}
}

// members reports whether a context is most likely that of a queue's members: agents
// are rung there for a queue that is elsewhere, and no caller is sent there.
func (l *linter) members(ctx *context) bool {
	if !l.contextAsks(ctx, dialplan.AgentDial) || l.contextAsks(ctx, dialplan.QueueDial) || l.contextAsks(ctx, dialplan.CallDial) ||
		!slices.ContainsFunc(l.asks, func(a *ask) bool { return a.point == dialplan.QueueDial }) {
		return false
	}
	return !slices.ContainsFunc(l.links, func(k link) bool { return k.kind == goesTo && k.in == ctx && k.from.ctx != ctx }) &&
		!slices.ContainsFunc(l.plan.order, func(c *context) bool { return slices.Contains(c.includes, ctx.name) })
}

func (l *linter) contextAsks(ctx *context, p dialplan.Point) bool {
	return slices.ContainsFunc(l.asks, func(a *ask) bool { return a.step.ctx == ctx && a.point == p })
}

// runs finds the steps of an extension that run an application.
func runs(ext *extension, apps ...string) (at []int) {
	for i, st := range ext.steps {
		if slices.ContainsFunc(st.leaves(), func(c command) bool { return c.is(apps...) }) {
			at = append(at, i)
		}
	}
	return at
}

// inOrder finds queue-dial after its Queue(), and agent-answer where no agent has answered.
func (l *linter) inOrder(a *ask) {
	ext := a.step.ext
	here := slices.Index(ext.steps, a.step)
	switch {
	case a.inQueue:
	case a.point == dialplan.QueueDial:
		queues := runs(ext, "Queue")
		onwards := runs(ext, "Queue", "Goto", "Gosub", "Macro", "Dial")
		if len(queues) > 0 && queues[0] < here && !slices.ContainsFunc(onwards, func(i int) bool { return i > here || i == here && a.via == nil }) {
			l.add(a.step.at, Error, "place", "queue-dial stands behind Queue(): the caller has waited already; put it before")
		}
	case a.point == dialplan.AgentAnswer && ext.name != "h":
		if slices.ContainsFunc(l.links, func(k link) bool { return k.to == ext && k.kind != goesTo }) {
			return
		}
		if dials := runs(ext, "Dial", "Queue"); len(dials) > 0 {
			l.add(a.step.at, Error, "place", "agent-answer stands beside %s(), where nobody has answered yet or all is over: call it from Dial(...,U(context)) "+
				"or give it as Queue()'s sixth argument", shown(ext.steps[dials[0]].leaves()[0].app))
		}
	}
}

// inQueue checks Queue()'s AGI argument, which runs when a member has answered.
func (l *linter) inQueue(a *ask) {
	if !a.inQueue || !l.points[string(a.point)] {
		return
	}
	switch a.point {
	case dialplan.AgentAnswer, dialplan.CallAnswer, dialplan.CustomEvent, dialplan.Lookup:
	default:
		l.add(a.step.at, Error, "place", "Queue()'s AGI argument runs when an agent has answered: agent-answer belongs there, not %s", a.point)
	}
}

// ends checks that every beginning has its end also when the caller hangs up.
func (l *linter) ends() {
	first := map[dialplan.Point]*ask{}
	doubt := !l.plan.whole
	for _, a := range l.asks {
		if first[a.point] == nil {
			first[a.point] = a
		}
	}
	l.each(func(st *step) { doubt = doubt || l.unclear(st) })
	for _, w := range works {
		begin := first[w.begin]
		if begin == nil {
			continue
		}
		if !slices.ContainsFunc(w.ends, func(p dialplan.Point) bool { return first[p] != nil }) {
			if !doubt {
				l.add(begin.step.at, Warning, "end", "%s is asked here, and %s nowhere: the end of %s is told late or never; ask it %s",
					w.begin, w.ends[0], w.what, afterAnd(w.app))
			}
			continue
		}
		for _, a := range l.asks {
			if a.point == w.begin && w.app != "" {
				l.endOf(a, w)
			}
		}
	}
	if len(l.asks) > 0 && first[dialplan.CallHangup] == nil && !doubt && (first[dialplan.CallDial] != nil || first[dialplan.QueueDial] != nil || first[dialplan.AgentDial] != nil) {
		l.add(l.asks[0].step.at, Note, "end", "call-hangup is asked nowhere: no event tells a call's end until [dialplan] max_call has passed; "+
			"push a hangup handler where the call begins: Set(CHANNEL(hangup_handler_push)=CONTEXT,EXTEN,1)")
	}
}

func afterAnd(app string) string {
	if app == "" {
		return "in h of the context"
	}
	return "after " + app + "() and in h of the context"
}

// endOf checks one beginning whose application stands in the same extension.
func (l *linter) endOf(a *ask, w work) {
	ext := a.step.ext
	here := slices.Index(ext.steps, a.step)
	if !slices.ContainsFunc(runs(ext, w.app), func(i int) bool { return i > here }) {
		return
	}
	// A member whose time is up hangs up while the call goes on: only its own channel reports it.
	member := w.begin == dialplan.AgentDial && l.members(a.step.ctx)
	told := w.ends
	if !member {
		told = append([]dialplan.Point{dialplan.CallHangup}, told...)
	}
	for _, k := range l.links {
		if member && k.from.ctx != a.step.ctx {
			continue
		}
		if k.kind == atHangup || k.kind == onAnswer && k.to == nil {
			if k.to == nil {
				return
			}
			if r := l.reachOf(k.to); r.doubt || r.any(told...) {
				return
			}
		}
	}
	h, known := l.hangupOf(a.step.ctx)
	if h == nil && known {
		l.add(a.step.at, Warning, "hangup", "who hangs up during %s() goes on in h, and the context %s has none: add exten => h,1 with %s", w.app, shown(a.step.ctx.name), w.ends[0])
		return
	}
	if h == nil {
		return
	}
	if r := l.reachOf(h); !r.doubt && !r.any(told...) {
		l.add(h.steps[0].at, Warning, "hangup", "who hangs up during %s() goes on in this h, which does not ask %s: the end of %s is told late or never", w.app, w.ends[0], w.what)
	}
}

// subroutines checks what asks ringhook in a Gosub().
func (l *linter) subroutines() {
	for _, k := range l.links {
		if k.kind != calls || k.macro || k.to == nil {
			continue
		}
		asking := slices.IndexFunc(k.to.steps, l.asking)
		if asking < 0 {
			continue
		}
		if len(runs(k.to, "Return", "Goto", "Hangup", "StackPop")) == 0 {
			l.add(k.to.steps[len(k.to.steps)-1].at, Error, "return", "Gosub() comes here, and no Return() follows: the call ends; add same => n,Return()")
		}
		own, _ := l.hangupOf(k.from.ctx)
		h, known := l.hangupOf(k.in)
		if h != nil || !known || own == nil || k.from.ext.name == "h" || k.in == k.from.ctx || len(l.reachOf(own).points) == 0 {
			continue
		}
		l.add(k.to.steps[asking].at, Warning, "skipped", "who hangs up while ringhook is asked here, in a Gosub(), goes on in the h of %s, which has none, and the h of the context "+
			"that asked is skipped: add exten => h,1,Goto(${STACK_PEEK(1,c)},h,1)", shown(k.in.name))
	}
}

// status finds tests of AGISTATUS after a line that asks ringhook.
func (l *linter) status() {
	for _, ctx := range l.plan.order {
		for _, ext := range ctx.order {
			asked := false
			for _, st := range ext.steps {
				if asked && strings.Contains(st.text, "AGISTATUS") {
					l.add(st.at, Warning, "agistatus", "AGISTATUS is SUCCESS also where the server just closed the connection: test RINGHOOK_STATUS, which is empty then")
				}
				if l.asking(st) {
					asked = true
				} else if len(l.urls(st)) > 0 || slices.ContainsFunc(st.leaves(), func(c command) bool { return c.is("AGI") }) {
					asked = false
				}
			}
		}
	}
}
