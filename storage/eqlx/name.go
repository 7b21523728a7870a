package eqlx

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// idMark is where a template has the ID.
const idMark = "<id>"

// maxName is the longest name of a volume. Dell's EqualLogic Configuration Guide v14.1 §5.2.1
// has 64 letters, digits, ".", "-" and ":"; other manuals have 63.
const maxName = 63

const templateExpected = `letters a to z, digits, "." and "-" around one "<id>", at least one of them before it, beginning and ending with a letter or digit, up to 28 without the "<id>"`

// A template makes names on the group from IDs, and finds the IDs again. Names there have
// neither "_" nor upper and lower case, IDs have both, so what a name cannot have becomes ":"
// and two hexadecimal digits; nothing else in a name has ":".
//
// An ID that gets too long so is replaced by ":x" and a hash. Such a name does not tell the ID;
// the volume's description does, see describeID.
type template struct{ prefix, suffix string }

var (
	prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	suffixPattern = regexp.MustCompile(`^([a-z0-9.-]*[a-z0-9])?$`)
	hashPattern   = regexp.MustCompile(`^:x[0-9a-v]{32}$`)
)

func newTemplate(text string) (template, error) {
	prefix, suffix, ok := strings.Cut(text, idMark)
	if !ok || !prefixPattern.MatchString(prefix) || !suffixPattern.MatchString(suffix) || len(prefix)+len(suffix) > maxName-35 {
		return template{}, errors.New("expected " + templateExpected)
	}
	return template{prefix: prefix, suffix: suffix}, nil
}

// name returns the name of an ID that storage.CheckID accepts.
func (t template) name(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || (c == '.' || c == '-') && i+1 < len(id)
		if plain {
			b.WriteByte(c)
		} else {
			const digits = "0123456789abcdef"
			b.Write([]byte{':', digits[c>>4], digits[c&15]})
		}
	}
	if len(t.prefix)+b.Len()+len(t.suffix) > maxName {
		return t.prefix + hashed(id) + t.suffix
	}
	return t.prefix + b.String() + t.suffix
}

func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return ":x" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:20]))
}

// id returns the ID of a name. hidden: the name is of this template, but holds a hash.
func (t template) id(name string) (id string, ours, hidden bool) {
	inner, ok := strings.CutPrefix(name, t.prefix)
	if !ok {
		return "", false, false
	}
	if inner, ok = strings.CutSuffix(inner, t.suffix); !ok {
		return "", false, false
	}
	if hashPattern.MatchString(inner) {
		return "", true, true
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] != ':' {
			b.WriteByte(inner[i])
			continue
		}
		if i+2 >= len(inner) {
			return "", false, false
		}
		c, err := strconv.ParseUint(inner[i+1:i+3], 16, 8)
		if err != nil {
			return "", false, false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	// Another spelling of the same ID is not a name that this driver makes.
	if id = b.String(); storage.CheckID(id) != nil || t.name(id) != name {
		return "", false, false
	}
	return id, true, false
}

// hides reports whether a name alone does not tell the ID.
func (t template) hides(id string) bool {
	_, _, hidden := t.id(t.name(id))
	return hidden
}

// describeID is what the description of a volume has whose name does not tell its ID.
func describeID(id string) string { return "id=" + id }

// describedID returns the ID that a description has, if it is the one that the name hides.
func (t template) describedID(name, description string) (string, bool) {
	for _, word := range strings.Fields(description) {
		if id, ok := strings.CutPrefix(word, "id="); ok && storage.CheckID(id) == nil && t.name(id) == name {
			return id, true
		}
	}
	return "", false
}
