package credentials

import (
	"ringhook/directory"
	"ringhook/store/sqlite"
)

// AgentIDs returns the ids of agents that a [[agents]] table fetched last.
func (s *Credentials) AgentIDs(source string) (list []directory.AgentID, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	rows, err := s.read.Query("select matches, value, id from agent_id where source = ? order by n", source)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var a directory.AgentID
		err := scan(&a.Field, &a.Value, &a.ID)
		list = append(list, a)
		return err
	})
	return list, sqlite.Wrap("read ids of agents", err)
}

// SetAgentIDs stores the ids of agents that a [[agents]] table fetched, in place of the earlier ones.
func (s *Credentials) SetAgentIDs(source string, list []directory.AgentID) error {
	return s.write("store ids of agents", func(c *sqlite.Conn) error {
		if _, err := c.Exec("delete from agent_id where source = ?", source); err != nil {
			return err
		}
		for n, a := range list {
			if _, err := c.Exec("insert into agent_id values (?, ?, ?, ?, ?)", source, n, a.Field, a.Value, a.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
