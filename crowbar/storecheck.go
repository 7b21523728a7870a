package crowbar

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// CheckKey returns ErrLimit, with the reason, for a key that no Store takes. It is for those
// who implement a Store.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: empty key", ErrLimit)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: key %.40q… of %d bytes, at most %d", ErrLimit, key, len(key), MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: key %q is not UTF-8", ErrLimit, key)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("%w: key %q has a NUL", ErrLimit, key)
	}
	return nil
}

// CheckTxn returns ErrLimit, naming the limit, for a transaction that no Store takes. It is
// for those who implement a Store.
func CheckTxn(conditions []Condition, ops []Op) error {
	if n := len(conditions) + len(ops); n > MaxTxnOps {
		return fmt.Errorf("%w: %d conditions and operations in one transaction, at most %d", ErrLimit, n, MaxTxnOps)
	}
	size := 0
	seen := make(map[string]bool, max(len(conditions), len(ops)))
	for _, c := range conditions {
		if err := CheckKey(c.Key); err != nil {
			return err
		}
		if seen[c.Key] {
			return fmt.Errorf("%w: two conditions on %q in one transaction", ErrLimit, c.Key)
		}
		seen[c.Key] = true
		size += len(c.Key)
	}
	clear(seen)
	for _, op := range ops {
		if err := CheckKey(op.Key); err != nil {
			return err
		}
		if seen[op.Key] {
			return fmt.Errorf("%w: two operations on %q in one transaction", ErrLimit, op.Key)
		}
		if len(op.Value) > MaxValue {
			return fmt.Errorf("%w: value of %q has %d bytes, at most %d", ErrLimit, op.Key, len(op.Value), MaxValue)
		}
		seen[op.Key] = true
		size += len(op.Key) + len(op.Value)
	}
	if size > MaxTxnBytes {
		return fmt.Errorf("%w: %d bytes in one transaction, at most %d", ErrLimit, size, MaxTxnBytes)
	}
	return nil
}

// CheckLease returns ErrLimit, with the reason, for a lease that no Store grants. It is for
// those who implement a Store.
func CheckLease(name string, ttl time.Duration) error {
	if err := CheckKey(name); err != nil {
		return fmt.Errorf("lease name: %w", err)
	}
	if ttl <= 0 {
		return fmt.Errorf("%w: lease %q for %v, must be longer than 0", ErrLimit, name, ttl)
	}
	return nil
}
