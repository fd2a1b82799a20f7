package api

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/valyala/fasthttp"

	"ringhook/api/yemot"
	"ringhook/store"
)

// serveYemot answers a request of the Yemot dialect. It returns false if the path is not one of it. Its
// status is 200 also for an error, as clients of that API expect; the answer says which.
func (a *API) serveYemot(r *fasthttp.RequestCtx) bool {
	now := a.enter()
	defer now.requests.Done()
	command, ours := strings.CutPrefix(string(r.Path()), now.yemot.Path)
	if now.yemot.Token == "" || !ours {
		return false
	}
	answer := a.answerYemot(r, now, command)
	text, err := json.Marshal(answer)
	if err != nil {
		a.limited.Error("encode", "bug: API response cannot be encoded", "path", string(r.Path()), "err", err)
		r.SetStatusCode(fasthttp.StatusInternalServerError)
	}
	r.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.SetContentType("application/json")
	r.SetBody(append(text, '\n'))
	return true
}

func (a *API) answerYemot(r *fasthttp.RequestCtx, now *settings, command string) any {
	if err := a.foreign(r); err != nil {
		return yemot.Failure(err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	answer, err := a.dialect.Serve(ctx, &now.yemot, &yemot.Request{
		Method: string(r.Method()), Command: command, Query: string(r.URI().QueryString()), ContentType: string(r.Request.Header.ContentType()),
		Authorization: string(r.Request.Header.Peek(fasthttp.HeaderAuthorization)), Body: r.PostBody(),
		Guess: func() bool { return a.throttle.guess(r.RemoteAddr()) > 0 },
	})
	if err != nil {
		a.limited.Error("failed", "API request failed", "path", string(r.Path()), "err", err)
	}
	return answer
}
