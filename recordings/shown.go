package recordings

import (
	"bytes"
	"encoding/json"
	"maps"

	"ringhook/httpclient"
)

// linkParameter is the parameter of events and calls that has the link to a recording.
const linkParameter = "recording_url"

// Shown hides the secrets of links where events and calls are shown: receivers get the link as it is. The nil Shown hides
// nothing.
type Shown struct{ mask *httpclient.Mask }

// Shown returns what hides the secrets of the configuration's links.
func (c *Config) Shown() *Shown { return &Shown{httpclient.NewMask(c.Secrets()...)} }

// Params returns parameters of an event or a call as they are shown.
func (s *Shown) Params(params map[string]any) map[string]any {
	link, ok := params[linkParameter].(string)
	if !ok || s == nil {
		return params
	}
	hidden := s.mask.Replace(link)
	if hidden == link {
		return params
	}
	params = maps.Clone(params)
	params[linkParameter] = hidden
	return params
}

// State returns the stored state of a call, as JSON, as it is shown. What is no JSON is returned as it is.
func (s *Shown) State(state json.RawMessage) json.RawMessage {
	if s == nil || !bytes.Contains(state, []byte(linkParameter)) {
		return state
	}
	d := json.NewDecoder(bytes.NewReader(state))
	d.UseNumber() // a float64 changes integers above 2^53
	var call map[string]any
	if d.Decode(&call) != nil {
		return state
	}
	for name, value := range call {
		if params, ok := value.(map[string]any); ok {
			call[name] = s.Params(params)
		}
	}
	shown, err := json.Marshal(call)
	if err != nil {
		return state
	}
	return shown
}
