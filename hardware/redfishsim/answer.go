package redfishsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
)

// answer is a reply before it is written.
type answer struct {
	status int
	header http.Header
	body   object // encoded outside the machine's lock, so of nothing that may change
	data   []byte // encoded already
}

type object = map[string]any

// general is an error without a message of its own.
func general(status int, text string) answer {
	return problem(status, message{"Base.1.18.GeneralError", text})
}

func problem(status int, messages ...message) answer {
	var info []any
	for _, m := range messages {
		info = append(info, object{"@odata.type": "#Message.v1_1_2.Message", "MessageId": m.id, "Message": m.text, "MessageSeverity": "Critical",
			"Severity": "Critical", "Resolution": "None."})
	}
	code, text := messages[0].id, messages[0].text
	if len(messages) > 1 {
		code, text = "Base.1.18.GeneralError", "A general error has occurred. See ExtendedInfo for more information"
	}
	return answer{status: status, body: object{"error": object{"code": code, "message": text, "@Message.ExtendedInfo": info}}}
}

// refused answers an error of the machine, each of those that were joined by a message.
func refused(err error) answer {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ErrConflict):
		status = http.StatusConflict
	case errors.Is(err, ErrBackend):
		status = http.StatusInternalServerError
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && !errors.Is(err, ErrBackend) && len(joined.Unwrap()) > 0 {
		all = joined.Unwrap()
	}
	var messages []message
	for _, e := range all {
		messages = append(messages, message{"Base.1.18.GeneralError", e.Error()})
	}
	return problem(status, messages...)
}

// get answers with a resource as it is now.
func (b *BMC) get(r *request, path string) answer {
	levels, all := expands(b.p, r.URL.Query().Get("$expand"))
	a := answer{status: http.StatusNotFound}
	b.look(func(v *view) {
		o := v.resource(path)
		if o == nil {
			return
		}
		data, err := json.Marshal(o)
		if err != nil {
			a.status = http.StatusInternalServerError
			return
		}
		tag := tagOf(data) // of the resource alone, so that it is good for If-Match
		a.status, a.header = http.StatusOK, http.Header{"Etag": {tag}}
		if r.Method == http.MethodGet && r.Header.Get("If-None-Match") == tag {
			a.status = http.StatusNotModified
			return
		}
		if levels > 0 {
			v.expand(o, all, levels)
			if data, err = json.Marshal(o); err != nil {
				a.status = http.StatusInternalServerError
				return
			}
		}
		a.data = withTag(data, tag)
	})
	if a.status >= http.StatusBadRequest {
		return general(a.status, fmt.Sprintf("no resource at %s", r.URL.Path))
	}
	return a
}

// expands reads $expand, such as .($levels=2): how many levels, 0 for none, and whether Links too.
// Services that do not expand ignore it, which keeps it out of the way of clients that ask all
// the same; the standard would have them answer 501.
func expands(t *traits, query string) (levels int, all bool) {
	if query == "" || t.expand == expandNone {
		return 0, false
	}
	all = query[0] == '*' || query[0] == '~'
	if all && t.expand != expandAll || !all && query[0] != '.' {
		return 0, false
	}
	levels = 1
	_, _ = fmt.Sscanf(query[1:], "($levels=%d)", &levels)
	return min(levels, t.expandLevels), all
}

// tagOf is weak and made of the representation, so equal contents have equal tags.
func tagOf(data []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(data)
	return fmt.Sprintf(`W/"%016x"`, h.Sum64())
}

func etag(o object) string {
	data, _ := json.Marshal(o)
	return tagOf(data)
}

// withTag puts @odata.etag first into an encoded object that is not empty.
func withTag(data []byte, tag string) []byte {
	quoted, _ := json.Marshal(tag)
	return slices.Concat([]byte(`{"@odata.etag":`), quoted, []byte(","), data[1:])
}

func (b *BMC) write(w http.ResponseWriter, r *http.Request, a answer) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	header.Set("OData-Version", "4.0")
	header.Set("Cache-Control", "no-cache")
	if a.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Basic realm="RedfishService"`)
	}
	if a.body != nil {
		var err error
		if a.data, err = json.Marshal(a.body); err != nil {
			b.log.Error("bmc reply", "path", r.URL.Path, "error", err)
			a = answer{status: http.StatusInternalServerError}
		}
	}
	if a.data != nil {
		header.Set("Content-Type", "application/json;charset=utf-8")
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.data)
	}
}
