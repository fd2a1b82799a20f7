package command

import "ringhook/app"

type serveCmd struct {
	LogLevel string `enum:"debug,info,warn,error," default:"" placeholder:"LEVEL" help:"Lowest level that is logged: debug, info, warn or error (else [log] level)."`
}

// Run serves until a signal; a second one ends the program at once.
func (c *serveCmd) Run(s *streams) error {
	return app.Serve(s.ctx, app.Options{Load: s.load, Hup: s.hup, Level: c.LogLevel, Log: s.err, Build: s.build})
}
