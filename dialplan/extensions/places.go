package extensions

import (
	"slices"
	"strings"

	"ringhook/dialplan"
)

// linkKind is the way in which a step leads to an extension.
type linkKind int

const (
	goesTo    linkKind = iota // Goto, GotoIf
	calls                     // Gosub, GosubIf, Macro: these return
	atHangup                  // pushes a hangup handler
	onAnswer                  // Dial's U() and M(), Queue's subroutine
	onChannel                 // Dial's b() and B()
)

// link is a step that leads to an extension.
type link struct {
	from   *step
	kind   linkKind
	target target
	to     *extension // nil if it is not found
	in     *context
	known  bool // reports that the extension does not exist if to is nil
	macro  bool
}

// linksOf returns the links of a step.
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
			// The seventh argument is a macro in Asterisk 16 and a subroutine in 22. The eighth is the
			// subroutine in 16.
			for i, name := range arguments(l.plan.global(c.data)) {
				if name = strings.TrimSpace(name); (i == 6 || i == 7) && l.plan.contexts[name] != nil {
					add(onAnswer, target{context: name, exten: "s", priority: "1", parts: 3}, false)
				}
			}
		}
	}
	return all
}

// reach holds the points that are asked from an extension on.
type reach struct {
	points map[dialplan.Point]bool
	doubt  bool // more points may be asked: a target or a point is not known
}

func (r reach) any(points ...dialplan.Point) bool {
	return slices.ContainsFunc(points, func(p dialplan.Point) bool { return r.points[p] })
}

// maxVisited is the maximum number of steps that reachOf visits in a dialplan. Beyond it no extension is known to ask nothing.
const maxVisited = 5_000_000

// reachOf returns the points that are asked from an extension's first priority on.
func (l *linter) reachOf(ext *extension) reach {
	if r, known := l.lives[ext]; known {
		return r
	}
	r := reach{points: map[dialplan.Point]bool{}}
	seen := map[*extension]bool{ext: true}
	for todo := []*extension{ext}; len(todo) > 0; todo = todo[1:] {
		if l.visited += 1 + len(todo[0].steps); l.visited > maxVisited {
			r.doubt = true
			break
		}
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
				case k.target.context == "macro-hangupcall": // of FreePBX: it ends the call
				default:
					r.doubt = true
				}
			}
		}
	}
	l.lives[ext] = r
	return r
}

// unclear reports whether a step has an AGI() whose point is in a variable.
func (l *linter) unclear(st *step) bool {
	if l.helpers[st.ext] != nil {
		return false
	}
	return slices.ContainsFunc(l.urls(st), func(u agiURL) bool { return strings.Contains(u.path, "$") })
}

// hangupOf returns the extension h of a context, nil if it is not found. known is false if it
// may be in a missing file or a switch.
func (l *linter) hangupOf(ctx *context) (h *extension, known bool) {
	h, _, known = l.plan.find(ctx.name, "h")
	return h, known
}

// work is something that begins at one point and ends at another.
type work struct {
	begin dialplan.Point
	ends  []dialplan.Point
	app   string // the application that runs meanwhile, empty if there is none
	what  string
}

var works = []work{
	{dialplan.QueueDial, []dialplan.Point{dialplan.QueueHangup}, "Queue", "a visit to the queue"},
	{dialplan.AgentDial, []dialplan.Point{dialplan.AgentHangup, dialplan.AgentCancel}, "Dial", "the ring of an agent's phone"},
	{dialplan.AgentDialoutAnswer, []dialplan.Point{dialplan.AgentDialoutHangup, dialplan.AgentHangup}, "", "an outgoing call"},
	{dialplan.AgentCustom, []dialplan.Point{dialplan.AgentDialoutHangup, dialplan.AgentHangup, dialplan.AgentCancel}, "Dial", "an outgoing call"},
}

// places checks that each point is asked at a place where it can work.
func (l *linter) places() {
	l.handlers()
	if len(l.asks) > maxPlaced {
		l.add(l.asks[maxPlaced].step.at, Note, "many", "the places of the first %d lines that ask ringhook are checked, not those from here on", maxPlaced)
	}
	for _, a := range l.placed() {
		l.inH(a)
		l.inOrder(a)
		l.inQueue(a)
	}
	l.ends()
	l.subroutines()
	l.status()
}

// maxPlaced is the maximum number of asks whose places are checked, each against all links and asks. A dialplan of a thousand queues
// has as many.
const maxPlaced = 4000

// placed returns the asks whose places are checked.
func (l *linter) placed() []*ask { return l.asks[:min(len(l.asks), maxPlaced)] }

// handlers checks that the contexts of hangup handlers and subroutines exist.
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
			l.add(k.from.at, Error, "helper", "the context %s is not in this file or the files that it includes, and %s: "+
				"#include extensions_ringhook.conf, or check the file that includes both", shown(name), k.lost())
		case ctx != nil && k.known && l.helperContext(name):
			l.add(k.from.at, Error, "helper", "the context %s has no extension %s, and %s", shown(name), quoted(k.target.exten), k.lost())
		}
	}
}

// lost returns the consequence of a link to a missing extension.
func (k link) lost() string {
	if k.kind == calls {
		return "Gosub() ends the call"
	}
	return "ringhook is not asked"
}

// inH reports points that begin something after the hangup.
func (l *linter) inH(a *ask) {
	begins := slices.Contains([]dialplan.Point{dialplan.CallDial, dialplan.CallAnswer, dialplan.QueueDial, dialplan.AgentDial, dialplan.AgentAnswer,
		dialplan.AgentCustom, dialplan.AgentDialoutAnswer}, a.point)
	switch {
	case begins && a.step.ext.name == "h":
		l.add(a.step.at, Error, "place", "%s reports that something begins, but is in h, which runs after the hangup", a.point)
	case begins && slices.ContainsFunc(l.links, func(k link) bool { return k.kind == atHangup && k.to == a.step.ext }):
		l.add(a.step.at, Error, "place", "%s reports that something begins, but is in a hangup handler", a.point)
	case a.point == dialplan.CallHangup && a.step.ext.name == "h" && l.members(a.step.ctx):
		l.add(a.step.at, Warning, "place", "if the queue's members are Local channels in %s, call-hangup in its h ends the call when the first phone stops ringing: "+
			"push a hangup handler on the caller's channel with Set(CHANNEL(hangup_handler_push)=...), and ask call-hangup there", shown(a.step.ctx.name))
	}
}

// members reports whether a context is most likely that of a queue's members: agents are rung
// there, the queue is in another context, and no line sends callers there.
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

// runs returns the indices of the steps of an extension that run one of the applications. They are found once: many lines of an
// extension can ask.
func (l *linter) runs(ext *extension, apps ...string) []int {
	key := running{ext, strings.Join(apps, " ")}
	at, known := l.running[key]
	if !known {
		at = stepsOf(ext, apps)
		l.running[key] = at
	}
	return at
}

// running is a question of runs.
type running struct {
	ext  *extension
	apps string
}

func stepsOf(ext *extension, apps []string) (at []int) {
	for i, st := range ext.steps {
		if slices.ContainsFunc(st.leaves(), func(c command) bool { return c.is(apps...) }) {
			at = append(at, i)
		}
	}
	return at
}

// inOrder reports queue-dial after its Queue(), and agent-answer at a place where no agent has
// answered.
func (l *linter) inOrder(a *ask) {
	ext := a.step.ext
	here := slices.Index(ext.steps, a.step)
	switch {
	case a.inQueue:
	case a.point == dialplan.QueueDial:
		queues := l.runs(ext, "Queue")
		onwards := l.runs(ext, "Queue", "Goto", "Gosub", "Macro", "Dial")
		if len(queues) > 0 && queues[0] < here && !slices.ContainsFunc(onwards, func(i int) bool { return i > here || i == here && a.via == nil }) {
			l.add(a.step.at, Error, "place", "queue-dial is after Queue(), when the caller has already waited: move it before Queue()")
		}
	case a.point == dialplan.AgentAnswer && ext.name != "h":
		if slices.ContainsFunc(l.links, func(k link) bool { return k.to == ext && k.kind != goesTo }) {
			return
		}
		if dials := l.runs(ext, "Dial", "Queue"); len(dials) > 0 {
			l.add(a.step.at, Error, "place", "agent-answer is in the same extension as %s(), before an agent answers or after the call ends: ask it in Dial(...,U(context)) "+
				"or in the sixth argument of Queue()", shown(ext.steps[dials[0]].leaves()[0].app))
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
		l.add(a.step.at, Error, "place", "the AGI argument of Queue() runs when an agent has answered: use agent-answer there, not %s", a.point)
	}
}

// reported reports whether the manager interface reports a point.
func (l *linter) reported(p dialplan.Point) bool {
	return slices.Contains(l.options.Reported, string(p))
}

// ends checks that the end of everything that begins is reported, also after a hangup.
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
		if begin == nil || slices.ContainsFunc(w.ends, l.reported) {
			continue
		}
		if !slices.ContainsFunc(w.ends, func(p dialplan.Point) bool { return first[p] != nil }) {
			if !doubt {
				l.add(begin.step.at, Warning, "end", "%s is asked here, but no line asks %s: the end of %s is reported late or never; ask it %s",
					w.begin, w.ends[0], w.what, endPlaces(w.app))
			}
			continue
		}
		for _, a := range l.placed() {
			if a.point == w.begin && w.app != "" {
				l.endOf(a, w)
			}
		}
	}
	if len(l.asks) > 0 && first[dialplan.CallHangup] == nil && !l.reported(dialplan.CallHangup) && !doubt && (first[dialplan.CallDial] != nil || first[dialplan.QueueDial] != nil || first[dialplan.AgentDial] != nil) {
		l.add(l.asks[0].step.at, Note, "end", "no line asks call-hangup: the end of a call is reported only after [dialplan] max_call; "+
			"push a hangup handler where the call begins: Set(CHANNEL(hangup_handler_push)=CONTEXT,EXTEN,1)")
	}
}

// endPlaces names the places where the end of something is to be reported.
func endPlaces(app string) string {
	if app == "" {
		return "in the h of the context"
	}
	return "after " + app + "() and in the h of the context"
}

// endOf checks that a hangup is reported during the application that follows in the same extension.
func (l *linter) endOf(a *ask, w work) {
	ext := a.step.ext
	here := slices.Index(ext.steps, a.step)
	if !slices.ContainsFunc(l.runs(ext, w.app), func(i int) bool { return i > here }) {
		return
	}
	// A member that does not answer in time is hung up while the call continues: only its own channel
	// reports that.
	member := w.begin == dialplan.AgentDial && l.members(a.step.ctx)
	ends := w.ends
	if !member {
		ends = append([]dialplan.Point{dialplan.CallHangup}, ends...)
	}
	for _, k := range l.links {
		if member && k.from.ctx != a.step.ctx {
			continue
		}
		if k.kind == atHangup || k.kind == onAnswer && k.to == nil {
			if k.to == nil {
				return
			}
			if r := l.reachOf(k.to); r.doubt || r.any(ends...) {
				return
			}
		}
	}
	h, known := l.hangupOf(a.step.ctx)
	if h == nil && known {
		l.add(a.step.at, Warning, "hangup", "after a hangup during %s() Asterisk runs h, but the context %s has none: add exten => h,1 with %s", w.app, shown(a.step.ctx.name), w.ends[0])
		return
	}
	if h == nil {
		return
	}
	if r := l.reachOf(h); !r.doubt && !r.any(ends...) {
		l.add(h.steps[0].at, Warning, "hangup", "after a hangup during %s() Asterisk runs this h, which does not ask %s: the end of %s is reported late or never", w.app, w.ends[0], w.what)
	}
}

// firstAsking returns the index of the first step of an extension that asks ringhook, -1 if none does.
func (l *linter) firstAsking(ext *extension) int {
	at, known := l.first[ext]
	if !known {
		at = slices.IndexFunc(ext.steps, l.asking)
		l.first[ext] = at
	}
	return at
}

// subroutines checks subroutines that ask ringhook.
func (l *linter) subroutines() {
	for _, k := range l.links {
		if k.kind != calls || k.macro || k.to == nil {
			continue
		}
		asking := l.firstAsking(k.to)
		if asking < 0 {
			continue
		}
		if len(l.runs(k.to, "Return", "Goto", "Hangup", "StackPop")) == 0 {
			l.add(k.to.steps[len(k.to.steps)-1].at, Error, "return", "Gosub() leads here, but no Return() follows, and the call ends: add same => n,Return()")
		}
		own, _ := l.hangupOf(k.from.ctx)
		h, known := l.hangupOf(k.in)
		if h != nil || !known || own == nil || k.from.ext.name == "h" || k.in == k.from.ctx || len(l.reachOf(own).points) == 0 {
			continue
		}
		l.add(k.to.steps[asking].at, Warning, "skipped", "if the caller hangs up while this line in a Gosub() asks ringhook, Asterisk looks for h in the context %s, which has none, and "+
			"skips the h of the calling context: add exten => h,1,Goto(${STACK_PEEK(1,c)},h,1)", shown(k.in.name))
	}
}

// status reports tests of AGISTATUS after a line that asks ringhook.
func (l *linter) status() {
	for _, ctx := range l.plan.order {
		for _, ext := range ctx.order {
			asked := false
			for _, st := range ext.steps {
				if asked && strings.Contains(st.text, "AGISTATUS") {
					l.add(st.at, Warning, "agistatus", "AGISTATUS is SUCCESS even if the server only closed the connection: test RINGHOOK_STATUS, which is then empty")
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
