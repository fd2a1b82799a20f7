package command

import "ringhook/app"

type serveCmd struct {
	LogLevel string `enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: ${enum}."`
}

// Run serves until a signal; a second one ends the program at once.
func (c *serveCmd) Run(s *streams) error {
	return app.Serve(s.ctx, app.Options{Load: s.load, Level: c.LogLevel, Log: s.err, Build: s.build})
}
