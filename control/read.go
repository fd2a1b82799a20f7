package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
)

// Read connects to each Asterisk, reads its lists once, and returns what is alive. It needs no
// running server. An Asterisk that cannot be read is not connected in the result, and named in the error. Callers who
// withhold their number are shown if showWithheld is true.
func Read(ctx context.Context, configs []ami.Config, showWithheld bool) (Live, error) {
	all := Live{Servers: []Server{}, Queues: []Queue{}, Calls: []Call{}, Phones: []Phone{}}
	var failed error
	metrics := ami.NewMetrics(prometheus.NewRegistry())
	for _, cfg := range configs {
		s, err := readOnce(ctx, cfg, metrics, showWithheld)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("[[ami]] %s: %w", cfg.Name, err))
			s = newState()
		}
		all.add(cfg.Name, err == nil, s, showWithheld)
	}
	return all, failed
}

func readOnce(ctx context.Context, cfg ami.Config, metrics *ami.Metrics, showWithheld bool) (s *state, err error) {
	client, err := ami.New(cfg, nil, slog.New(slog.DiscardHandler), metrics)
	if err != nil {
		return nil, err
	}
	err = client.Once(ctx, func(ctx context.Context) error {
		if s, err = readState(ctx, client); err != nil || showWithheld {
			return err
		}
		for _, id := range s.toAsk() {
			name, err := client.Variable(ctx, id, ami.Presentation)
			var rejected *ami.RejectedError
			switch {
			case err == nil:
				s.channels[id].presentation = presented(name)
			case !errors.As(err, &rejected): // else it has hung up, or the account at Asterisk may not read variables
				return err
			}
		}
		return nil
	})
	return s, err
}
