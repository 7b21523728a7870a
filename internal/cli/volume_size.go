package cli

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// sizesMean is for the help.
const sizesMean = "Sizes are bytes, or have a unit that is a power of two: 500M and 500MiB are 500 x 2^20 bytes, 10G and\n" +
	"10GiB are 10 x 2^30, 1.5T and 1.5TiB are 1.5 x 2^40. Back ends round up: EqualLogic to GiB, Ceph to objects."

// sizeFlag is a flag with a size.
type sizeFlag int64

var _ pflag.Value = (*sizeFlag)(nil)

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return volumeSize(int64(*s))
}

// Type is what the help shows as the value.
func (*sizeFlag) Type() string { return "SIZE" }

// Set reads the size.
func (s *sizeFlag) Set(text string) error {
	n, err := parseSize(text)
	*s = sizeFlag(n)
	return err
}

const binaryUnits = "KMGTP"

var sizePattern = regexp.MustCompile(`(?i)^([0-9]{1,19}(?:\.[0-9]{1,9})?)([` + binaryUnits + `]?)(i?)(b?)$`)

// parseSize reads a size of at least 1 byte.
func parseSize(text string) (int64, error) {
	m := sizePattern.FindStringSubmatch(text)
	switch {
	case m == nil || m[2] == "" && m[3] != "" || m[3] != "" && m[4] == "" && strings.HasSuffix(text, "I"):
		return 0, fmt.Errorf("expected a size such as 10G or 10GiB (10 x 2^30 bytes), 500M, 1.5T, or a number of bytes")
	case m[2] != "" && m[3] == "" && m[4] != "":
		return 0, fmt.Errorf("%s could be powers of 10 or of 2; give %s%s for 2^%d bytes each, or a number of bytes", text, m[1], m[2], exponent(m[2]))
	}
	n, _ := new(big.Rat).SetString(m[1])
	n.Mul(n, new(big.Rat).SetInt64(1<<exponent(m[2])))
	switch {
	case !n.IsInt():
		return 0, fmt.Errorf("%s is no whole number of bytes", text)
	case n.Sign() == 0:
		return 0, fmt.Errorf("expected at least 1 byte")
	case !n.Num().IsInt64():
		return 0, fmt.Errorf("%s is more than any back end has", text)
	}
	return n.Num().Int64(), nil
}

// exponent is that of a unit: 10 for K.
func exponent(unit string) int {
	if unit == "" {
		return 0
	}
	return 10 * (1 + strings.Index(binaryUnits, strings.ToUpper(unit)))
}

// volumeSize is a size in the largest unit that it fills, with two decimals where it needs them.
func volumeSize(n int64) string {
	if n < 0 {
		return "-" + volumeSize(-n)
	}
	for i := len(binaryUnits); i > 0; i-- {
		unit := int64(1) << (10 * i)
		if n < unit {
			continue
		}
		text := strconv.FormatInt(n/unit, 10)
		if n%unit != 0 {
			text = strings.TrimRight(fmt.Sprintf("%.2f", float64(n)/float64(unit)), "0")
			text = strings.TrimSuffix(text, ".")
		}
		return text + " " + binaryUnits[i-1:i] + "iB"
	}
	return fmt.Sprintf("%d B", n)
}
