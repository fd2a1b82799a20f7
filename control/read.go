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
// running server. An Asterisk that cannot be read is not connected in the result, and named in the error.
func Read(ctx context.Context, configs []ami.Config) (Live, error) {
	all := Live{Servers: []Server{}, Queues: []Queue{}, Calls: []Call{}, Phones: []Phone{}}
	var failed error
	metrics := ami.NewMetrics(prometheus.NewRegistry())
	for _, cfg := range configs {
		s, err := readOnce(ctx, cfg, metrics)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("[[ami]] %s: %w", cfg.Name, err))
			s = newState()
		}
		all.add(cfg.Name, err == nil, s)
	}
	return all, failed
}

func readOnce(ctx context.Context, cfg ami.Config, metrics *ami.Metrics) (s *state, err error) {
	client, err := ami.New(cfg, nil, slog.New(slog.DiscardHandler), metrics)
	if err != nil {
		return nil, err
	}
	err = client.Once(ctx, func(ctx context.Context) error {
		s, err = readState(ctx, client)
		return err
	})
	return s, err
}
