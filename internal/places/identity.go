package places

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// Identity returns the name by which an input is known, in jobs and in messages, without the
// secrets that it may hold: user and password, and what a query says. Of a query that says more
// than what looks like a secret or an expiry, a hash of the rest is left, so that what lies there
// is told from what lies at others: https://host/export?9f86d081884c7d65. Other names are as they are.
func Identity(name string) string {
	if !IsURL(name) {
		return name
	}
	if _, _, ok := splitS3(name); ok && strings.EqualFold(name[:2], "s3") {
		return "s3" + name[2:] // a key may have any character
	}
	u, err := url.Parse(name)
	if err != nil { // the error would quote it
		head, _, _ := strings.Cut(name, "?")
		if scheme, rest, ok := strings.Cut(head, "://"); ok {
			host, path, _ := strings.Cut(rest, "/")
			return scheme + "://" + host[strings.LastIndex(host, "@")+1:] + "/" + path
		}
		return head
	}
	return identityOf(u)
}

// identityOf is Identity of a URL.
func identityOf(u *url.URL) string {
	clean := url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host), Path: u.Path, RawPath: u.RawPath}
	name := clean.String()
	azure := u.Query().Has("sig")
	var kept []string
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
		if !secretKey.MatchString(key) && !(azure && azureKey.MatchString(key)) {
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(kept, "&")))
	return name + "?" + hex.EncodeToString(sum[:8])
}

// secretKey is what parameters are called that are, or go with, a signature, a password or a
// token. They differ each time, and a hash of a weak one could be found out by trying.
var secretKey = regexp.MustCompile(`(?i)^(x-(amz|goog|oss|cos|obs|ms)-.*|googleaccessid|key-pair-id|policy|expires?|hmac|jwt|pw|pwd|sig)$|` +
	`signature|token|secret|passw|api-?_?key|access-?_?key|auth|credential|session`)

// azureKey is what the parameters of a signature of Azure's are called, where there is a sig.
var azureKey = regexp.MustCompile(`(?i)^(sv|ss|srt|sp|se|st|spr|sr|si|sip|sdd|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|rscc|rscd|rsce|rscl|rsct)$`)

// cleaned returns err without the URL that net/http puts into its errors, and without what that
// URL says. What it says is kept for errors.As.
func cleaned(err error) error {
	for {
		failed, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = failed.Err
	}
}
