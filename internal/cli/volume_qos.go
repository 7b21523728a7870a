package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

// qosLimits are Cinder's names, in the order of the help.
var qosLimits = [...]string{
	"total_iops_sec", "read_iops_sec", "write_iops_sec", "total_bytes_sec", "read_bytes_sec", "write_bytes_sec",
}

const qosBurst = "_max"

func (v *volumes) qosShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show VOLUME", Short: "show the limits of a volume", Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			q, err := b.GetQoS(ctx, args[0])
			if err != nil {
				return err
			}
			return v.qos(b, args[0], q)
		}),
	}
}

func (v *volumes) qosSetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set VOLUME LIMIT=VALUE ...", Short: "set all limits of a volume; those not named are removed",
		Long: "Set all limits of a volume. Limits are those of Cinder's qos-specs: " + strings.Join(qosLimits[:3], ", ") + ",\n" +
			strings.Join(qosLimits[3:], ", ") + ", each also with " + qosBurst + " for bursts. Bytes may have a unit: 100M.\n" +
			"Limits that are not named are removed.",
		Example: "  crowbar volume qos set db-1 total_iops_sec=500 write_bytes_sec=100M",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("VOLUME", "LIMIT=VALUE")(cmd, args[:min(len(args), 2)])
		},
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			q, err := parseQoS(args[1:])
			if err != nil {
				return err
			}
			return v.setQoS(ctx, b, args[0], q)
		}),
	}
}

func (v *volumes) qosClearCommand() *cobra.Command {
	return &cobra.Command{
		Use: "clear VOLUME", Short: "remove all limits of a volume", Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			return v.setQoS(ctx, b, args[0], storage.QoS{})
		}),
	}
}

func (v *volumes) setQoS(ctx context.Context, b *storage.Backend, id string, q storage.QoS) error {
	if err := b.SetQoS(ctx, id, q); err != nil {
		return err
	}
	return v.qos(b, id, q)
}

func (v *volumes) qos(b *storage.Backend, id string, q storage.QoS) error {
	if v.output == "json" {
		return v.json(struct {
			Backend string      `json:"backend"`
			ID      string      `json:"id"`
			QoS     storage.QoS `json:"qos"`
		}{b.Name(), id, q})
	}
	if q == (storage.QoS{}) {
		lines(v.Stdout, "%s on %s has no limits", id, b.Name())
		return nil
	}
	raw, err := json.Marshal(q)
	if err != nil {
		return err
	}
	var limits map[string]int64
	if err := json.Unmarshal(raw, &limits); err != nil {
		return err
	}
	t := newTable("LIMIT", "VALUE", "BURST")
	shown := func(name string) string {
		n := limits[name]
		switch {
		case n == 0:
			return ""
		case strings.Contains(name, "bytes"):
			return volumeSize(n)
		}
		return strconv.FormatInt(n, 10)
	}
	for _, name := range qosLimits {
		if limits[name] != 0 {
			t.add(plain, name, shown(name), orDash(shown(name+qosBurst)))
		}
	}
	return v.print(v.Stdout, t)
}

// parseQoS reads LIMIT=VALUE.
func parseQoS(args []string) (q storage.QoS, err error) {
	limits := map[string]int64{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if _, twice := limits[name]; !ok || twice {
			return q, fmt.Errorf("%q: expected each limit once, as LIMIT=VALUE", arg)
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil && strings.Contains(name, "bytes") {
			n, err = parseSize(value)
		} else if err != nil {
			err = fmt.Errorf("expected a whole number")
		}
		if err != nil {
			return q, fmt.Errorf("%s=%s: %w", name, value, err)
		}
		limits[name] = n
	}
	raw, err := json.Marshal(limits)
	if err != nil {
		return q, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return q, fmt.Errorf("%s: no such limit; there are %s, each also with %s", strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`),
			strings.Join(qosLimits[:], ", "), qosBurst)
	}
	return q, nil
}
