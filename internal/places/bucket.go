package places

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/minio/minio-go/v7"

	"shardload/internal/fault"
	"shardload/internal/input"
)

// A bucket is what one name of s3:// means: an object, all that begins with a prefix and a slash,
// or what a pattern means.
type bucket struct {
	env    *environment
	said   string
	bucket string
	key    string // of the object, "" if it is certainly none
	base   string // "" or the prefix of a directory or pattern, with its slash
	prefix string // of the names of parts
	object string // the name of the part that the object of the key is
	pattern
}

// bucketName is what buckets are called.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]+$`)

// splitS3 returns the bucket and the key of a name of s3://.
func splitS3(name string) (bucket, key string, ok bool) {
	_, rest, _ := strings.Cut(name, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, bucketName.MatchString(bucket)
}

func newBucket(env *environment, name string) (place, error) {
	of, key, ok := splitS3(name)
	if !ok {
		return nil, fmt.Errorf("%s: want s3://BUCKET/KEY", Identity(name))
	}
	b := &bucket{env: env, said: Identity(name), bucket: of, pattern: everything}
	switch {
	case IsPattern(key):
		base, p, err := splitPattern(key)
		if err != nil {
			return nil, err
		}
		if b.base, b.pattern = base+"/", p; base == "." || base == "" {
			b.base = ""
		}
	case key == "" || strings.HasSuffix(key, "/"):
		b.base = key
	default:
		b.key, b.base = plainName(key), plainName(key)+"/"
	}
	return b, nil
}

func (b *bucket) root() string {
	if b.key != "" {
		return b.called(b.key[:strings.LastIndexByte(b.key, '/')+1])
	}
	return b.called(b.base)
}

func (b *bucket) under(base string) {
	b.prefix = strings.TrimPrefix(b.called(b.base), base)
	b.object = strings.TrimPrefix(b.called(b.key), base)
}

// called returns what errors call an object.
func (b *bucket) called(key string) string { return "s3://" + b.bucket + "/" + key }

func (b *bucket) list(ctx context.Context, yield func(Part) bool) error {
	if b.key != "" {
		part, err := b.ask(ctx)
		if err == nil {
			yield(part)
			return nil
		}
		if status, ok := errors.AsType[*statusError](err); !ok || status.status != http.StatusNotFound {
			return fmt.Errorf("%s: %w", b.said, err)
		}
	}
	l := &listing{bucket: b, patience: &patience{name: b.said, limit: b.env.RetryFor, log: b.env.Log}}
	if err := l.all(ctx, yield); err != nil {
		return fmt.Errorf("%s: %w", b.said, err)
	}
	switch {
	case l.found > 0 || l.stopped:
		return nil
	case b.key != "":
		return fmt.Errorf("%s: there is no such object, and none below it", b.said)
	}
	return fmt.Errorf("%s: there is no such object", b.said)
}

// ask returns the part that the only object is.
func (b *bucket) ask(ctx context.Context) (Part, error) {
	core, err := b.env.s3.client()
	if err != nil {
		return Part{}, err
	}
	waits := &patience{name: b.said, limit: b.env.RetryFor, log: b.env.Log}
	for {
		asked := listen(ctx)
		info, err := core.StatObject(asked.ctx, b.bucket, b.key, minio.StatObjectOptions{})
		asked.close()
		if err == nil {
			return Part{Name: b.object, Size: info.Size, Tag: trimETag(info.ETag)}, nil
		}
		if err := waits.wait(ctx, b.env.s3.explain(err, 0, 0)); err != nil {
			return Part{}, err
		}
	}
}

func trimETag(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }

func (b *bucket) locate(name string, known version) (input.Location, bool) {
	key, ok := "", false
	if b.key != "" && name == b.object {
		key, ok = b.key, true
	} else if rest, has := strings.CutPrefix(name, b.prefix); has {
		key, ok = b.base+rest, b.matches(rest)
	}
	name = b.called(key)
	of := &s3Object{stores: b.env.s3, bucket: b.bucket, key: key}
	return input.Location{Name: name, Open: func(ctx context.Context) (input.Object, error) {
		return openObject(ctx, b.env, name, of, known)
	}}, ok
}

func (b *bucket) single() (input.Location, bool) {
	if b.key == "" {
		return input.Location{}, false
	}
	return b.locate(b.object, version{size: -1})
}

// A listing goes through the objects of a bucket, page by page.
type listing struct {
	*bucket
	*patience
	found   int
	stopped bool
	last    string // key
	ordered bool   // keys have come in order
}

// all goes through all objects. Where a page cannot be had it is asked for again, from the last
// key on.
func (l *listing) all(ctx context.Context, yield func(Part) bool) error {
	core, err := l.env.s3.client()
	if err != nil {
		return err
	}
	for l.ordered = true; ; {
		err := l.pages(ctx, core, yield)
		if err == nil || l.stopped {
			return err
		}
		if !l.ordered {
			return err // nobody knows what is left
		}
		if err := l.wait(ctx, err); err != nil {
			return err
		}
	}
}

// pages goes through objects until one page cannot be had.
func (l *listing) pages(ctx context.Context, core *minio.Core, yield func(Part) bool) error {
	asked := listen(ctx)
	defer asked.close()
	opt := minio.ListObjectsOptions{Prefix: l.base, Recursive: true, StartAfter: l.last}
	for info := range core.ListObjectsIter(asked.ctx, l.bucket.bucket, opt) {
		if info.Err != nil {
			return l.env.s3.explain(asked.why(info.Err), 0, 0)
		}
		l.succeed()
		if info.Key <= l.last {
			if !l.ordered {
				continue
			}
			if opt.StartAfter != "" && info.Key <= opt.StartAfter {
				continue // a store that does not know where to begin
			}
			l.ordered = false
		}
		l.last = info.Key
		asked.timer.Stop() // whoever takes the part may take its time
		if err := l.take(info, yield); err != nil || l.stopped {
			return err
		}
		asked.timer.Reset(fault.StoreSilence)
	}
	return context.Cause(ctx)
}

// take takes one object.
func (l *listing) take(info minio.ObjectInfo, yield func(Part) bool) error {
	rest, ok := strings.CutPrefix(info.Key, l.base)
	switch {
	case !ok || rest == "" || !l.matches(rest):
		return nil
	case strings.HasSuffix(info.Key, "/"):
		if info.Size > 0 {
			l.env.Skipped(l.called(info.Key), "called as a directory")
		}
		return nil
	}
	if left, err := l.leftBehind(rest); left || err != nil {
		l.env.Skipped(l.called(info.Key), bookkeeping)
		return err
	}
	l.found++
	l.stopped = !yield(Part{Name: l.prefix + rest, Size: info.Size, Tag: trimETag(info.ETag)})
	return nil
}
