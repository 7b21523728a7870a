package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// The ways to break the rules about images, trash, adoption and limits.
var breaksOfImages = map[string]map[string]func(b *broken, h *Harness){
	"an image comes back as it went in": {
		"without its last byte": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
				if size > 1 {
					image, err := io.ReadAll(io.LimitReader(r, size))
					if err != nil {
						return nil, err
					}
					image[size-1], image[0] = 0, 0
					r = bytes.NewReader(image)
				}
				return b.Driver.Import(ctx, s, r, size, progress)
			}
		},
		"tells nothing": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, _ func(int64, int64)) error {
				return b.Driver.Export(ctx, id, w, nil)
			}
		},
		"over what is there": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
				_ = b.Driver.Delete(ctx, s.ID)
				return b.Driver.Import(ctx, s, r, size, progress)
			}
		},
	},
	"an image leaves holes out and nothing shows through": {
		"writes them all": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, p func(int64, int64)) error {
				return b.Driver.Export(ctx, id, struct{ io.Writer }{w}, p)
			}
		},
		"shows through": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, p func(int64, int64)) error {
				if file, ok := w.(*os.File); ok {
					return b.Driver.Export(ctx, id, &careless{file: file}, p)
				}
				return b.Driver.Export(ctx, id, w, p)
			}
		},
	},
	"a failed import leaves nothing": {
		"leaves it": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, p func(int64, int64)) (*storage.Volume, error) {
				v, err := b.Driver.Import(ctx, s, r, size, p)
				if err != nil && s.ID == "v" {
					_, _ = b.Driver.Create(context.WithoutCancel(ctx), s)
				}
				return v, err
			}
		},
		"takes what there is": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, p func(int64, int64)) (*storage.Volume, error) {
				image, err := io.ReadAll(r)
				if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					return nil, err
				}
				return b.Driver.Import(ctx, s, io.MultiReader(bytes.NewReader(image), bytes.NewReader(make([]byte, size))), size, p)
			}
		},
	},
	"a volume from an image stands on it and has its data": {
		"has none": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				if s.SizeBytes == 0 {
					s.SizeBytes = smallBytes
				}
				v, err := b.Driver.CreateFromImage(ctx, s, location)
				if err == nil {
					_ = b.Driver.WriteAt(ctx, s.ID, make([]byte, smallBytes), 0)
				}
				return v, err
			}
		},
		"always of the image's size": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				s.SizeBytes = 0
				return b.Driver.CreateFromImage(ctx, s, location)
			}
		},
		"takes the image": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				v, err := b.Driver.CreateFromImage(ctx, s, location)
				if err == nil && s.ID == "same" {
					_, _ = b.Driver.Manage(ctx, "taken", strings.TrimPrefix(location, "memory://"))
				}
				return v, err
			}
		},
	},
	"a purge of the trash takes nothing that is there": {
		"takes it": func(b *broken, h *Harness) {
			b.purge = func(ctx context.Context) (int, error) {
				_ = b.Driver.Delete(ctx, "kept")
				return b.Driver.PurgeTrash(ctx)
			}
		},
		"counts what is there": func(b *broken, h *Harness) {
			b.purge = func(ctx context.Context) (int, error) {
				_, err := b.Driver.PurgeTrash(ctx)
				return 1, err
			}
		},
	},
	"a volume given up can be taken over": {
		"still there": func(b *broken, h *Harness) {
			b.unmanage = func(context.Context, string) (string, error) { return "somewhere", nil }
		},
		"without its data": func(b *broken, h *Harness) {
			b.unmanage = func(ctx context.Context, id string) (string, error) {
				if _, err := b.Driver.Get(ctx, id); err == nil {
					_ = b.Driver.WriteAt(ctx, id, make([]byte, 1), 0)
				}
				return b.Driver.Unmanage(ctx, id)
			}
		},
	},
	"what can be taken over is listed in order": {
		"one page": func(b *broken, h *Harness) {
			b.manageable = func(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
				return b.Driver.Manageable(ctx, after, min(limit, 5))
			}
		},
		"from the begin": func(b *broken, h *Harness) {
			b.manageable = func(ctx context.Context, _ string, limit int) ([]storage.Manageable, error) {
				return b.Driver.Manageable(ctx, "", limit)
			}
		},
	},
	"limits stay until they are changed": {
		"the highest stay": func(b *broken, h *Harness) {
			b.setQoS = func(ctx context.Context, id string, q storage.QoS) error {
				old, err := b.Driver.GetQoS(ctx, id)
				if err != nil {
					return err
				}
				q.TotalIOPS = max(q.TotalIOPS, old.TotalIOPS)
				return b.Driver.SetQoS(ctx, id, q)
			}
		},
		// The bug of Cinder's rbd.py: total_iops_sec_max goes to rbd_qos_bps_burst.
		"bursts mixed up": func(b *broken, h *Harness) {
			b.setQoS = func(ctx context.Context, id string, q storage.QoS) error {
				if q.TotalIOPSBurst != 0 {
					q.TotalIOPSBurst, q.TotalBytesBurst = 0, q.TotalIOPSBurst
				}
				return b.Driver.SetQoS(ctx, id, q)
			}
		},
	},
}

// careless looks empty, whatever the file has.
type careless struct {
	file *os.File
	at   int64
}

func (c *careless) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 0, nil
	}
	if whence == io.SeekCurrent {
		offset += c.at
	}
	c.at = offset
	return c.at, nil
}

func (c *careless) Write(p []byte) (int, error) {
	n, err := c.file.WriteAt(p, c.at)
	c.at += int64(n)
	return n, err
}
