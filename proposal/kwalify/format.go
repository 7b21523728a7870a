package kwalify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The formats that stand for kwalify's types and Crowbar's named checks.
const (
	formatInt              = "crowbar-int"
	formatFloat            = "crowbar-float"
	formatDate             = "crowbar-date"
	formatTime             = "crowbar-time"
	formatFQDN             = "crowbar-fqdn"
	formatIPAddress        = "crowbar-ip-address"
	formatIPAddressOrBlank = "crowbar-ip-address-or-blank"
	formatIPAddressMap     = "crowbar-ip-address-map"
	formatDiskURL          = "crowbar-disk-url"
	formatEmail            = "crowbar-email"
	formatDomainName       = "crowbar-domain-name"
)

// checks are the values of name: that Crowbar acts on (crowbar_validator.rb).
var checks = map[string]string{
	"FQDN":         formatFQDN,
	"IpAddress":    formatIPAddress,
	"IpAddressMap": formatIPAddressMap,
	"DiskURL":      formatDiskURL,
	"Email":        formatEmail,
	"DomainName":   formatDomainName,
}

// Formats returns the formats that Translate's schemas use, each with a function that says
// whether a value decoded from JSON has it; the error says what is expected. As with JSON
// Schema's own formats, values of other types pass: the type is another keyword's affair.
// crowbar-int and crowbar-float judge a json.Number by its text and let a float64 pass, which
// does not know any more whether it was written 1 or 1.0.
//
// The map is a new one each time. The functions may be called concurrently.
func Formats() map[string]func(any) error {
	return map[string]func(any) error{
		formatInt:              number(isInt),
		formatFloat:            number(isFloat),
		formatDate:             text(isDate),
		formatTime:             text(isTime),
		formatFQDN:             text(isFQDN),
		formatIPAddress:        text(isIPAddress),
		formatIPAddressOrBlank: text(isIPAddressOrBlank),
		formatIPAddressMap:     isIPAddressMap,
		formatDiskURL:          text(isDiskURL),
		formatEmail:            text(isEmail),
		formatDomainName:       text(isDomainName),
	}
}

func text(check func(string) error) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); ok {
			return check(s)
		}
		return nil
	}
}

func number(check func(string) error) func(any) error {
	return func(v any) error {
		if n, ok := v.(json.Number); ok {
			return check(string(n))
		}
		return nil
	}
}

func isInt(s string) error {
	if strings.ContainsAny(s, ".eE") {
		return fmt.Errorf("expected an integer without point or exponent, not %s", shorten(s))
	}
	return nil
}

func isFloat(s string) error {
	if !strings.ContainsAny(s, ".eE") {
		return fmt.Errorf("expected a number with a point: %s.0", shorten(s))
	}
	return nil
}

func isDate(s string) error {
	if !dateText.MatchString(s) {
		return errors.New("expected a date: 2013-12-31")
	}
	return nil
}

func isTime(s string) error {
	if !timeText.MatchString(s) {
		return errors.New("expected a time: 2013-12-31 23:59:59")
	}
	return nil
}

var (
	labelText  = regexp.MustCompile(`[a-zA-Z0-9-]`)
	digitsText = regexp.MustCompile(`^\d+$`)
)

// isFQDN is looser than its name, as Crowbar was: a label needs one good character, not only
// good ones (a_b.example passes).
func isFQDN(s string) error {
	// Ruby's split drops empty fields at the end: "a.b." has two.
	labels := strings.Split(strings.TrimRight(s, "."), ".")
	switch {
	case utf8.RuneCountInString(s) > 254:
		return errors.New("expected a host name with its domain of at most 254 characters")
	case len(labels) < 2:
		return errors.New("expected a host name with its domain: admin.example.com")
	case utf8.RuneCountInString(labels[len(labels)-1]) < 2:
		return errors.New("expected a host name with its domain, whose last part has at least 2 characters")
	}
	for _, label := range labels {
		switch {
		case !labelText.MatchString(label):
			return errors.New("expected a host name with its domain, of letters, digits and -")
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return errors.New("expected a host name with its domain, no part of which starts or ends with -")
		case digitsText.MatchString(label):
			return errors.New("expected a host name with its domain, no part of which is a number")
		}
	}
	return nil
}

var errIPAddress = errors.New("expected an IP address (192.168.124.10, 192.168.124.0/24, fd00::1) or the length of a prefix (1 to 128)")

// isIPAddress accepts what Ruby's IPAddr.new accepts, or an integer of 1 to 128 the ways that
// Ruby's Integer() reads one (white space around it, +, 0x10, 1_0): a netmask may be a prefix.
func isIPAddress(s string) error {
	if n, err := strconv.ParseInt(strings.Trim(s, " \t\n\v\f\r"), 0, 64); err == nil && n >= 1 && n <= 128 {
		return nil
	}
	if !isIPAddr(s) {
		return errIPAddress
	}
	return nil
}

func isIPAddressOrBlank(s string) error {
	if s == "" {
		return nil
	}
	return isIPAddress(s)
}

func isIPAddressMap(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for key := range m {
		if !isIPAddr(key) {
			return errors.New("expected IP addresses as keys (192.168.124.10, fd00::1)")
		}
	}
	return nil
}

var (
	prefixText = regexp.MustCompile(`^(0|[1-9]\d*)$`)
	zoneText   = regexp.MustCompile(`^\w*$`)
)

// isIPAddr is Ruby's IPAddr.new: an address with an optional /prefix or /mask, IPv6 with
// an optional zone, also in brackets.
func isIPAddr(s string) bool {
	addressText, mask, masked := strings.Cut(s, "/")
	if strings.HasPrefix(addressText, "[") && strings.HasSuffix(addressText, "]") {
		addressText = addressText[1 : len(addressText)-1]
		if !strings.Contains(addressText, ":") {
			return false
		}
	}
	address, err := netip.ParseAddr(addressText)
	if err != nil || !zoneText.MatchString(address.Zone()) {
		return false
	}
	if !masked {
		return true
	}
	if prefixText.MatchString(mask) {
		n, err := strconv.Atoi(mask)
		return err == nil && n <= address.BitLen()
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || m.BitLen() != address.BitLen() || m.Zone() != "" {
		return false
	}
	ended := false // a mask is ones, then zeros
	for _, b := range m.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			if one && ended {
				return false
			}
			ended = ended || !one
		}
	}
	return true
}

// The parts of a URL by RFC 3986; group 1 of diskURLText is the host.
const (
	escaped     = `%[0-9A-Fa-f]{2}`
	segmentChar = `(?:[\w.~!$&'()*+,;=:@-]|` + escaped + `)`
	hostChar    = `(?:[\w.~!$&'()*+,;=-]|` + escaped + `)`
	userChar    = `(?:[\w.~!$&'()*+,;=:-]|` + escaped + `)`
)

var diskURLText = regexp.MustCompile(`^disk:(?:` +
	`//(?:` + userChar + `*@)?(\[[0-9A-Fa-f:.]+\]|` + hostChar + `+)(?::\d*)?(?:/` + segmentChar + `*)+|` +
	`/(?:` + segmentChar + `+(?:/` + segmentChar + `*)*)?|` +
	segmentChar + `+(?:/` + segmentChar + `*)*` +
	`)(?:\?(?:[/?]|` + segmentChar + `)*)?(?:#(?:[/?]|` + segmentChar + `)*)?$`)

// isDiskURL refuses an empty host and an empty path, but lets disk:/path and disk:path pass, which
// have no host at all: so did Crowbar.
func isDiskURL(s string) error {
	m := diskURLText.FindStringSubmatch(s)
	if m != nil && strings.HasPrefix(m[1], "[") {
		if _, err := netip.ParseAddr(strings.Trim(m[1], "[]")); err != nil {
			m = nil
		}
	}
	if m == nil {
		return errors.New("expected a disk URL: disk://host/path")
	}
	return nil
}

const (
	emailName  = "[\\w!#$%&'*+\\-/=?^`{|}~]+"
	emailHost  = `((([a-z0-9][a-z0-9-]{0,62}[a-z0-9]|[a-z])\.)+[a-z]{2,6}|(\d{1,3}\.){3}\d{1,3}(:\d{1,5})?)`
	domainPart = `[a-z0-9]([a-z0-9-]{0,253}[a-z0-9])?`
)

var (
	emailText  = regexp.MustCompile(`^(` + emailName + `\.)*` + emailName + `@` + emailHost + `$`)
	domainText = regexp.MustCompile(`(?i)^` + domainPart + `(\.` + domainPart + `)*$`)
)

func isEmail(s string) error {
	if !emailText.MatchString(s) {
		return errors.New("expected an e-mail address: admin@example.com")
	}
	return nil
}

func isDomainName(s string) error {
	if !domainText.MatchString(s) {
		return errors.New("expected a domain name: example.com")
	}
	return nil
}
