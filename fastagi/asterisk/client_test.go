package asterisk_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// What a call sends arrives, and what is answered is set, in order.
func TestCall(t *testing.T) {
	t.Parallel()
	want := fastagi.Env{
		Point: "queue-dial", Query: "queue_id=500&x=%20", Channel: "PJSIP/trunk-00000001", UniqueID: "1768469400.1",
		Version: "22.10.0", CallerNum: "+15550100", CallerName: "\u200eשרה \"x\" \\", DNID: "15550199", RDNIS: "1",
		Context: "from-trunk", Extension: "500", Priority: "3", AccountCode: "acc", Args: []string{"a=1", "", "b=é 🙂"},
	}
	vars := []fastagi.Variable{
		{Name: "CALLERID(name)", Value: "Muster \"GmbH\" \\ ${EXTEN}, \u00a0🙂"}, {Name: "QUEUE_PRIO", Value: "10"},
		{Name: "__call_info", Value: ""}, {Name: "RINGHOOK_STATUS", Value: "FOUND"},
	}
	var got fastagi.Env
	var values []string
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		got = *s.Env()
		var err error
		if values, err = s.Read(time.Now().Add(wait.Limit), "CHANNEL(linkedid)", "DIALSTATUS", "nothing", "CALLERID(num)"); err != nil {
			t.Error(err)
		}
		if s.Started().IsZero() || !s.Replied().IsZero() {
			t.Errorf("started %v, replied %v", s.Started(), s.Replied())
		}
		if cut, err := s.Reply(vars); err != nil || cut != nil {
			t.Errorf("reply returns %q, %v", cut, err)
		}
		if s.Replied().Before(s.Started()) {
			t.Errorf("started %v, replied %v", s.Started(), s.Replied())
		}
	})
	result, err := asterisk.Call(context.Background(), addr, asterisk.CallRequest{Env: want, Variables: map[string]string{
		"DIALSTATUS": "NO ANSWER\n)", "CHANNEL(linkedid)": "1768469400.0",
	}})
	if err != nil || result.Status != "SUCCESS" || result.Took <= 0 || !slices.Equal(result.Set, vars) {
		t.Errorf("result %+v, %v", result, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	if want := []string{"1768469400.0", "NO ANSWER\n)", "", "+15550100"}; !slices.Equal(values, want) {
		t.Errorf("got %q, want %q", values, want)
	}
}

func TestCallFails(t *testing.T) {
	t.Parallel()
	addr := agitest.Serve(t, func(s *fastagi.Session) { s.Fail(); s.Fail() })
	got, err := asterisk.Call(context.Background(), addr, asterisk.CallRequest{})
	if err != nil || got.Status != "FAILURE" {
		t.Errorf("got %+v, %v", got, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := asterisk.Call(ctx, l.Addr().String(), asterisk.CallRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent server: %v", err)
	}
	l.Close()
	if got, err := asterisk.Call(context.Background(), l.Addr().String(), asterisk.CallRequest{}); err == nil || got.Status != "FAILURE" {
		t.Errorf("closed port: %+v, %v", got, err)
	}
}
