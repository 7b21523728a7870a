package inprocess_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/internal/inprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(h http.HandlerFunc) *http.Client {
	return &http.Client{Transport: inprocess.Transport(h)}
}

func Example() {
	c := &http.Client{Transport: inprocess.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s wants %s", r.Host, r.URL.Path)
	}))}
	response, err := c.Get("http://rack/door")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	fmt.Println(response.Status, string(text), err)
	// Output: 200 OK rack wants /door <nil>
}

func TestRequestAndAnswer(t *testing.T) {
	c := client(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+string(body))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "ignored")
	})
	response, err := c.Post("http://rack/a?b=c", "text/plain", strings.NewReader("hi"))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusTeapot, response.StatusCode)
	require.Equal(t, "POST /a?b=c hi", response.Header.Get("X-Seen"))
	require.Empty(t, response.Header.Get("X-Late"))
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Empty(t, rest)
}

func TestAnswersStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		c := client(func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended = true }()
			for i := 0; r.Context().Err() == nil; i++ {
				if _, err := fmt.Fprintf(w, "%d\n", i); err != nil {
					return
				}
				select {
				case <-r.Context().Done():
				case <-time.After(time.Second):
				}
			}
		})
		start := time.Now()
		response, err := c.Get("http://rack/")
		require.NoError(t, err)
		lines := bufio.NewReader(response.Body)
		for i := range 3 {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%d\n", i), line)
		}
		require.Equal(t, 2*time.Second, time.Since(start))
		require.NoError(t, response.Body.Close())
		require.True(t, ended, "Close waits for the handler")
	})
}

func TestContextEndsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, begin := range map[string]bool{"before the answer": false, "during it": true} {
			ended := false
			c := client(func(w http.ResponseWriter, r *http.Request) {
				if begin {
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
				ended = true
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rack/", nil)
			require.NoError(t, err)
			response, err := c.Do(request)
			if begin {
				require.NoError(t, err, name)
				_, err = io.ReadAll(response.Body)
				require.NoError(t, response.Body.Close())
			}
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.True(t, ended, name)
			cancel()
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	_, err := client(func(http.ResponseWriter, *http.Request) { panic("at once") }).Get("http://rack/")
	require.ErrorContains(t, err, "at once")

	response, err := client(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("later")
	}).Get("http://rack/")
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	require.ErrorContains(t, err, "later")
}
