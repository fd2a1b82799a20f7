package control

import (
	"cmp"
	"context"
	"errors"
	"time"

	"ringhook/ami"
	"ringhook/control/report"
	"ringhook/dialplan"
)

// identify reads the names by which calls of this Asterisk are identified. An account that may not read them has only
// the configured name; points from events need them.
func (s *server) identify(ctx context.Context) error {
	system, entity, err := s.from.Names(ctx)
	var rejected *ami.RejectedError
	if err != nil && (s.reporter != nil || !errors.As(err, &rejected)) {
		return err
	}
	names := []string{cmp.Or(s.config.SystemName, entity)}
	if system != "" {
		names = append(names, system)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = names
	return nil
}

// call names a call among those of all Asterisks.
func (s *server) call(linkedID string) dialplan.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.config.SystemName
	if len(s.names) > 0 {
		own = s.names[0]
	}
	return dialplan.NewIdentity(linkedID, own, "")
}

// askResync has the lists read again for the reporter.
func (s *server) askResync(soon bool) {
	s.resync.Store(true)
	if soon {
		s.client.Wake()
	}
}

// reportSince has the reporter go on from the lists that were read since a time.
func (s *server) reportSince(ctx context.Context, next *state, began time.Time) {
	if s.reporter == nil {
		return
	}
	s.mu.Lock()
	snap := &report.Snapshot{At: began, Asterisk: s.names[0], Names: s.names}
	for _, c := range next.channels {
		snap.Channels = append(snap.Channels, report.Channel{
			UniqueID: c.uniqueID, LinkedID: c.linkedID, Name: c.name, Number: c.number, Exten: c.extension, Bridged: c.bridge != "",
		})
	}
	for _, q := range next.queues {
		for _, w := range q.waiting {
			snap.Waiting = append(snap.Waiting, report.Waiting{UniqueID: w.uniqueID, Queue: q.name, Since: w.since})
		}
		for _, m := range q.members {
			snap.Members = append(snap.Members, m.iface)
		}
	}
	s.mu.Unlock()
	s.reporter.Sync(ctx, snap)
}
