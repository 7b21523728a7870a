package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

func (v *volumes) importCommand() *cobra.Command {
	var size sizeFlag
	var imageSize bytesFlag
	raw := false
	c := &cobra.Command{
		Use: "import VOLUME FILE", Short: "make a volume with the contents of a raw image",
		Long: "Make a volume with the contents of a raw image, a file or a block device; - is standard input.\n" +
			"Zeroes are not written. A volume that could not be filled is removed. What begins as another format\n" +
			"does, qcow2 or a compressed file, is refused unless --raw says that it is raw all the same.",
		Example: "  crowbar volume import boot-1 debian.raw --size 20G\n" +
			"  qemu-img convert -O raw debian.qcow2 debian.raw\n" +
			"  xz -dc debian.raw.xz | crowbar volume import boot-1 - --image-size 2147483648",
		Args: arguments("VOLUME", "FILE"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			image, err := v.openImage(ctx, args[1], int64(imageSize))
			if err != nil {
				return err
			}
			defer image.close()
			if found := image.format(); found != nil && !raw {
				return fmt.Errorf("%s is %s, no raw image; first: %s; or take it as it is with --raw", args[1], found.name, found.remedy)
			}
			show := v.meter("importing " + args[0])
			volume, err := b.Import(ctx, storage.VolumeSpec{ID: args[0], SizeBytes: int64(size)}, image.r, image.size, show.progress)
			show.end()
			if err != nil {
				return err
			}
			if image.longer() {
				return fmt.Errorf("%s is longer than the %d bytes of --image-size: %s has only its beginning; delete it", args[1], image.size, args[0])
			}
			v.rounded(b, size, volume)
			return v.volume(b, volume)
		}),
	}
	c.Flags().Var(&size, "size", "size of the volume (default the image's)")
	c.Flags().Var(&imageSize, "image-size", "size of an image that comes through a pipe, exactly")
	c.Flags().BoolVar(&raw, "raw", false, "import what begins as an image of another format does")
	return c
}

// An image is what is imported.
type image struct {
	r     io.Reader
	size  int64
	pipe  bool
	close func()
}

// openImage opens an image and finds out how big it is; a pipe does not tell.
func (v *volumes) openImage(ctx context.Context, name string, told int64) (*image, error) {
	i := &image{r: v.Stdin, close: func() {}}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		i.r, i.close = f, func() { f.Close() } //nolint:errcheck // only read
		if info, err := f.Stat(); err == nil && info.IsDir() {
			i.close()
			return nil, fmt.Errorf("%s is a directory; give a raw image", name)
		}
	} else if v.IsTerminal(v.Stdin) {
		return nil, errors.New("standard input is a terminal; give a file, or redirect one")
	}
	i.size = sizeOf(i.r)
	i.pipe = i.size == 0
	switch {
	case i.pipe && told == 0:
		i.close()
		return nil, fmt.Errorf("%s does not tell its size, or is empty; give it with --image-size", name)
	case !i.pipe && told != 0 && told != i.size:
		i.close()
		return nil, fmt.Errorf("%s has %d bytes, and --image-size says %d; leave it out", name, i.size, told)
	case i.pipe:
		i.size, i.r = told, &interruptible{r: i.r, ended: ctx.Done(), why: ctx.Err}
	}
	return i, nil
}

// A format is what is no raw image: a guest would not boot from it.
type format struct{ begins, name, remedy string }

const convert = "qemu-img convert -O raw"

// formats are known by their beginnings: QEMU's docs/interop/qcow2.txt, VMware's Virtual Disk Format
// 5.0, MS-VHDX 2.2.1, MS-VHD; RFC 1952, the .xz file format 1.2.0, RFC 8878. OpenStack's
// format_inspector refuses such images, too: they can name files of who opens them (CVE-2024-32498).
var formats = []format{
	{"QFI\xfb", "a qcow2 image", convert}, {"KDMV", "a VMDK image", convert}, {"vhdxfile", "a VHDX image", convert},
	{"conectix", "a VHD image", convert},
	{"\x1f\x8b\x08", "compressed by gzip", "gzip -dc"}, {"\xfd7zXZ\x00", "compressed by xz", "xz -dc"},
	{"(\xb5/\xfd", "compressed by zstd", "zstd -dc"},
}

// format finds the format of an image that is not raw. What was read to know is read again.
func (i *image) format() *format {
	beginning := bufio.NewReaderSize(i.r, 16)
	begins, _ := beginning.Peek(8) // what cannot be read shows when it is
	if at, ok := i.r.(io.Seeker); i.pipe || !ok {
		i.r = beginning
	} else if _, err := at.Seek(-int64(beginning.Buffered()), io.SeekCurrent); err != nil {
		i.r = beginning
	}
	for _, f := range formats {
		if strings.HasPrefix(string(begins), f.begins) {
			return &f
		}
	}
	return nil
}

// longer tells that more came through a pipe than was said.
func (i *image) longer() bool {
	if !i.pipe {
		return false
	}
	n, _ := io.ReadFull(i.r, make([]byte, 1))
	return n > 0
}

// sizeOf is how much can be read of something that can seek; 0: it cannot, or has nothing.
func sizeOf(r io.Reader) int64 {
	seeker, ok := r.(io.Seeker)
	if !ok {
		return 0
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if _, back := seeker.Seek(at, io.SeekStart); err != nil || back != nil {
		return 0
	}
	return end - at
}

// interruptible is a reader whose Read ends with a context. Nothing but its writer ends a read of
// a pipe: that one stays behind until the process ends.
type interruptible struct {
	r     io.Reader
	ended <-chan struct{}
	why   func() error

	buffer []byte
}

type readResult struct {
	n   int
	err error
}

// Read reads.
func (i *interruptible) Read(p []byte) (int, error) {
	if i.buffer == nil {
		i.buffer = make([]byte, 1<<20)
	}
	got := make(chan readResult, 1)
	into := i.buffer[:min(len(p), len(i.buffer))] // p is the caller's again when this returns
	go func() {
		n, err := i.r.Read(into)
		got <- readResult{n, err}
	}()
	select {
	case r := <-got:
		return copy(p, into[:r.n]), r.err
	case <-i.ended:
		return 0, i.why()
	}
}

func (v *volumes) exportCommand() *cobra.Command {
	force := false
	c := &cobra.Command{
		Use: "export VOLUME FILE", Short: "write the contents of a volume into a raw image",
		Long: "Write the contents of a volume into a file, with holes where nothing was written, completely or not\n" +
			"at all; - is standard output. A volume in use may change meanwhile: export a clone of it.",
		Example: "  crowbar volume export db-1 db-1.raw\n" +
			"  crowbar volume export db-1 - | zstd > db-1.raw.zst",
		Args: arguments("VOLUME", "FILE"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			id, name := args[0], args[1]
			if name == "-" && v.IsTerminal(v.Stdout) {
				return errors.New("standard output is a terminal; give a file, or redirect it")
			}
			var total int64
			show := v.meter("exporting " + id)
			export := func(w io.Writer) error {
				defer show.end()
				return b.Export(ctx, id, w, func(done, all int64) { total = all; show.progress(done, all) })
			}
			if name == "-" {
				return export(v.Stdout)
			}
			if err := fillFile(name, force, func(f *os.File) error { return export(f) }); err != nil {
				return err
			}
			if v.output == "json" {
				return v.json(struct {
					Backend   string `json:"backend"`
					ID        string `json:"id"`
					File      string `json:"file"`
					SizeBytes int64  `json:"size_bytes"`
				}{b.Name(), id, name, total})
			}
			lines(v.Stdout, "%s of %s are in %s", volumeSize(total), id, name)
			return nil
		}),
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite the file if it is there")
	return c
}

// A meter shows how far something is, on a terminal.
type meter struct {
	out         io.Writer // nil: no terminal
	what        string
	begun, last time.Time
}

// meterInterval is how often it is drawn.
const meterInterval = 200 * time.Millisecond

func (v *volumes) meter(what string) *meter {
	m := &meter{what: what, begun: time.Now()}
	if is, _ := v.terminal(v.Stderr); is {
		m.out = v.Stderr
	}
	return m
}

func (m *meter) progress(done, total int64) {
	if m.out == nil || time.Since(m.last) < meterInterval && done < total {
		return
	}
	m.last = time.Now()
	text := fmt.Sprintf("%s: %s of %s", m.what, volumeSize(done), volumeSize(total))
	if total > 0 {
		text += fmt.Sprintf(", %d%%", int64(float64(done)/float64(total)*100))
	}
	if took := time.Since(m.begun).Seconds(); took > 1 {
		text += ", " + volumeSize(int64(float64(done)/took)) + "/s"
	}
	fmt.Fprintf(m.out, "\r%s\x1b[K", text)
}

// end takes the line away.
func (m *meter) end() {
	if m.out != nil && !m.last.IsZero() {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}
