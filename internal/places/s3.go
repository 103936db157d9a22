package places

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-ini/ini"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"shardload/internal/fault"
)

// Stores is what asks the store of s3:// names: Amazon's, unless the environment has another
// endpoint. It is made when it is asked first.
type stores struct {
	env  *environment
	once sync.Once
	core *minio.Core
	err  error
	// nobody says that no credentials were found.
	nobody bool
}

func newStores(env *environment) *stores { return &stores{env: env} }

// client returns what asks the store.
func (s *stores) client() (*minio.Core, error) {
	s.once.Do(func() { s.core, s.err = s.connect() })
	return s.core, s.err
}

// amazon is the endpoint where the environment names none.
const amazon = "s3.amazonaws.com"

// connect makes what asks the store, as the environment and the files of the AWS programs say.
func (s *stores) connect() (*minio.Core, error) {
	opt := &s.env.Options
	p := profileOf(opt)
	endpoint, err := endpointOf(opt, p)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(opt)
	if err != nil {
		return nil, err
	}
	if path := opt.Getenv("AWS_CA_BUNDLE"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		if transport.TLSClientConfig.RootCAs == nil {
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	options := &minio.Options{
		Creds: s.credentials(p, endpoint.Host), Secure: endpoint.Scheme == "https", Transport: noter{transport},
		Region: first(getenv(opt, "AWS_REGION", "AWS_DEFAULT_REGION"), p.region), MaxRetries: 1,
	}
	if endpoint.Host != amazon {
		options.BucketLookup = minio.BucketLookupPath
		options.Region = first(options.Region, "us-east-1")
	}
	client, err := minio.New(endpoint.Host, options)
	if err != nil {
		return nil, fmt.Errorf("the endpoint %s: %w", endpoint.Host, err)
	}
	client.SetAppInfo("shardload", "1")
	return &minio.Core{Client: client}, nil
}

func first(list ...string) string {
	for _, text := range list {
		if text != "" {
			return text
		}
	}
	return ""
}

// A profile is what the files of the AWS programs have under one name.
type profile struct {
	name, credentials, region, endpoint string
}

// profileOf reads them. A file that is not there, or not to be read, has nothing.
func profileOf(opt *Options) profile {
	home := filepath.Join(opt.Getenv("HOME"), ".aws")
	p := profile{
		name:        first(getenv(opt, "AWS_PROFILE", "AWS_DEFAULT_PROFILE"), "default"),
		credentials: first(opt.Getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, "credentials")),
	}
	config, err := ini.LooseLoad(first(opt.Getenv("AWS_CONFIG_FILE"), filepath.Join(home, "config")))
	if err != nil {
		return p
	}
	section := "profile " + p.name
	if p.name == "default" && !config.HasSection(section) {
		section = p.name
	}
	if config.HasSection(section) {
		of := config.Section(section)
		p.region, p.endpoint = of.Key("region").String(), of.Key("endpoint_url").String()
	}
	return p
}

// endpointOf returns the URL of the store.
func endpointOf(opt *Options, p profile) (*url.URL, error) {
	text := first(getenv(opt, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), p.endpoint)
	if text == "" || opt.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true" {
		return &url.URL{Scheme: "https", Host: amazon}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil {
		return nil, errors.New("AWS_ENDPOINT_URL: want the URL of a store, such as https://storage.example.com:9000")
	}
	return u, nil
}

// credentials returns where those of the user are found first: in the environment, in the
// profile, or with the machine or container. Where there are none, nobody asks.
func (s *stores) credentials(p profile, host string) *credentials.Credentials {
	opt := &s.env.Options
	if id := opt.Getenv("AWS_ACCESS_KEY_ID"); id != "" {
		return credentials.NewStaticV4(id, opt.Getenv("AWS_SECRET_ACCESS_KEY"), opt.Getenv("AWS_SESSION_TOKEN"))
	}
	file := credentials.NewFileAWSCredentials(p.credentials, p.name)
	if _, err := file.GetWithContext(nil); err == nil {
		return file
	}
	container := getenv(opt, "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
	if container || host == amazon && opt.Getenv("AWS_EC2_METADATA_DISABLED") != "true" && isInstance() {
		return credentials.NewIAM("")
	}
	s.nobody = true
	return credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
}

// isInstance reports whether somebody listens where machines of Amazon are told their
// credentials.
func isInstance() bool {
	conn, err := net.DialTimeout("tcp", "169.254.169.254:80", fault.StoreProbe)
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was said on it
	return true
}

// A noter notes for how long a store wants not to be asked again, which the library does not
// tell, and says of a connection that was closed what it is, which the library hides.
type noter struct{ http.RoundTripper }

type afterKey struct{}

func (n noter) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(r)
	if errors.Is(err, io.EOF) {
		err = &fault.PassingError{Err: errors.New("the store closed the connection before it answered")}
	}
	if after, ok := r.Context().Value(afterKey{}).(*time.Duration); ok && err == nil {
		*after = afterOf(response.Header, time.Now())
	}
	return response, err
}

// An s3Object is an object of a bucket.
type s3Object struct {
	stores      *stores
	bucket, key string
}

func (o *s3Object) get(ctx context.Context, offset, n int64, want version) (*answer, error) {
	return heard(ctx, func(b *body) (*answer, error) { return o.ask(b, offset, n, want) })
}

func (o *s3Object) ask(b *body, offset, n int64, want version) (*answer, error) {
	core, err := o.stores.client()
	if err != nil {
		return nil, &finalError{err}
	}
	var opt minio.GetObjectOptions
	if text := rangeOf(offset, n); text != "" {
		opt.Set("Range", text)
	}
	if want.etag != "" {
		_ = opt.SetMatchETag(want.etag) // which is not empty
	}
	var after time.Duration
	bytes, _, header, err := core.GetObject(context.WithValue(b.ctx, afterKey{}, &after), o.bucket, o.key, opt)
	if err != nil {
		return nil, o.stores.explain(b.why(err), offset, after)
	}
	b.bytes = bytes
	return b.answeredS3(header, offset)
}

// answeredS3 is answered of a store that speaks S3: all of them send ranges, and their ETags
// do not depend on the time of a change.
func (b *body) answeredS3(header http.Header, offset int64) (*answer, error) {
	length := int64(-1)
	if text := header.Get("Content-Length"); text != "" {
		if _, err := fmt.Sscan(text, &length); err != nil {
			return nil, &finalError{errNoLength}
		}
	}
	a, err := b.answered(header, header.Get("Content-Range") != "", length, offset)
	if err != nil {
		return nil, err
	}
	if a.size < 0 {
		return nil, &finalError{errNoLength}
	}
	a.etag, a.fresh, a.ranges = trimETag(a.etag), false, true
	return a, nil
}

// explain returns what a store has said in place of what was asked for.
func (s *stores) explain(err error, offset int64, after time.Duration) error {
	said, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		return cleaned(err)
	}
	switch {
	case said.StatusCode == http.StatusPreconditionFailed:
		return &ChangedError{How: "the store has another version of it now"}
	case said.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return &ChangedError{How: fmt.Sprintf("it ends before byte %d now", offset)}
	case said.StatusCode == 0 || said.StatusCode == http.StatusBadRequest && said.RequestID == "": // it was not asked
		return &finalError{errors.New(said.Message)}
	}
	status := &statusError{status: said.StatusCode, said: said.Code, after: after}
	if s.nobody && said.StatusCode == http.StatusForbidden {
		status.said += ", and no credentials were found to ask with"
	}
	return status
}
