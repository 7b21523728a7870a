package kwalify_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

// The verdicts are those of Crowbar's own CrowbarValidator under Ruby 3.1.
func TestFormats(t *testing.T) {
	formats := kwalify.Formats()
	for name, c := range map[string]struct{ good, bad []any }{
		"crowbar-int":   {[]any{json.Number("1"), json.Number("-20"), "1.0", nil}, []any{json.Number("1.0"), json.Number("1e3")}},
		"crowbar-float": {[]any{json.Number("1.0"), json.Number("1e3"), "1", nil, 1.0}, []any{json.Number("4"), json.Number("-4")}},
		"crowbar-date":  {[]any{"2013-12-31", nil}, []any{"2013-12-31 00:00:00", "", "31.12.2013"}},
		"crowbar-time":  {[]any{"2013-12-31 23:59:59", nil}, []any{"2013-12-31", ""}},
		"crowbar-fqdn": {[]any{"admin.example.com", "a.bc", "a_b.example", "A-1.x2.", nil, 7, strings.Repeat("a.", 126) + "aa"},
			[]any{"", "admin", "a.b", "-a.example.com", "a.b-.example.com", "192.168.124.10", "a..example.com", "é.example", strings.Repeat("a.", 127) + "aa", "..."}},
		"crowbar-ip-address": {[]any{"192.168.124.10", "192.168.124.0/24", "192.168.124.0/255.255.255.0", "1.2.3.4/0", "::1", "fd00::/8",
			"fe80::1%eth0", "[::1]", "[::1]/64", "::ffff:1.2.3.4", "1", "128", "0x10", " 24 ", "+5", nil},
			[]any{"", "0", "129", "-5", "256.1.1.1", "1.2.3", "192.168.01.1", "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/", "/24", "1.2.3.4/255.0.255.0",
				"::/129", "::1/255.0.0.0", "1::2::3", "admin", "1.2.3.4\n", "[1.2.3.4]", "::1%e-0", "fe80::1%"}},
		"crowbar-ip-address-or-blank": {[]any{"", "192.168.124.255", nil}, []any{" ", "x"}},
		"crowbar-ip-address-map":      {[]any{map[string]any{}, map[string]any{"10.0.0.1": 1, "::1": 2}, "x", nil}, []any{map[string]any{"10.0.0.1": 1, "x": 2}, map[string]any{"24": 1}}},
		"crowbar-disk-url": {[]any{"disk://host/path", "disk://user@host:80/p/q?x#y", "disk:/path", "disk:path", "disk://[::1]/p", "disk://h_h/%20", nil},
			[]any{"", "disk:", "disk://host", "disk:///path", "http://host/path", "DISK://host/path", "disk://h h/p", "disk://h/%zz", "disk://[1]/p", "disk://h/p\n", "//h/p"}},
		"crowbar-email": {[]any{"admin@example.com", "a.b+c@x.example.com", "root@1.2.3.4:25", nil},
			[]any{"", "admin", "admin@localhost", "@example.com", "a@Example.com", "a b@example.com", "a@example.com\n"}},
		"crowbar-domain-name": {[]any{"example.com", "cloud", "1a.EXAMPLE", "192.168.124.10", nil},
			[]any{"", ".", "a..b", "-a.com", "a-.com", "a_b.com", "example.com.", "example.com\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, formats, name)
			for _, v := range c.good {
				require.NoError(t, formats[name](v), "%v", v)
			}
			for _, v := range c.bad {
				require.ErrorContains(t, formats[name](v), "expected", "%v", v)
			}
		})
		delete(formats, name)
	}
	require.Empty(t, formats, "untested formats")
}
