package token

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// Unsorted is the topic of tokens whose payload belongs to no other. It is
// built in.
const Unsorted = "unsorted"

const (
	maxTitle    = 65 // what Messenger shows
	maxPayloads = 100
	maxPayload  = 1000
	topicCols   = "slug, title, payloads, created_at, updated_at"
)

// Topic is what a permission is asked for.
type Topic struct {
	Slug      string   `gorm:"primaryKey"`
	Title     string   // what the "Notify Me" message shows
	Payloads  []string `gorm:"serializer:json"` // what other bots on the Page use for it
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TopicDraft is a topic to be added.
type TopicDraft struct {
	Slug     string
	Title    string
	Payloads []string
}

// TopicPatch is a change to a topic. Fields that are nil stay as they are.
type TopicPatch struct {
	Title    *string
	Payloads *[]string // the whole list
}

var (
	slugs      = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	errNoTopic = fault.New(fault.NotFound, "topic_not_found", "There is no such topic.")
	errSlug    = fault.New(fault.Conflict, "topic_taken", "There is a topic with this slug already.").
			With(fault.Field{Pointer: "/slug", Code: "topic_taken", Detail: "There is a topic with this slug already."})
)

// CreateTopic adds a topic. A slug or a payload that another topic has is a
// Conflict.
func (s *Store) CreateTopic(ctx context.Context, d TopicDraft) (Topic, error) {
	if err := d.check(); err != nil {
		return Topic{}, err
	}
	now := s.moment()
	t := Topic{Slug: d.Slug, Title: d.Title, Payloads: list(d.Payloads), CreatedAt: now, UpdatedAt: now}
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		all, err := lockedTopics(tx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(o Topic) bool { return o.Slug == t.Slug }) {
			return errSlug
		}
		if err := unclaimed(all, t); err != nil {
			return err
		}
		return tx.Create(&t).Error
	})
	if err != nil {
		return Topic{}, fmt.Errorf("create topic: %w", err)
	}
	return t, nil
}

// Topic returns a topic, or a NotFound fault.
func (s *Store) Topic(ctx context.Context, slug string) (Topic, error) {
	var found []Topic
	err := s.db.Read(ctx).Raw("SELECT "+topicCols+" FROM topics WHERE slug = ?", slug).Scan(&found).Error
	return oneTopic(found, err)
}

// Topics returns up to limit topics by slug: those after the slug after.
func (s *Store) Topics(ctx context.Context, after string, limit int) ([]Topic, error) {
	var found []Topic
	err := s.db.Read(ctx).Raw("SELECT "+topicCols+" FROM topics WHERE slug > ? ORDER BY slug LIMIT ?", after, limit).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return found, nil
}

// PatchTopic changes a topic. A payload that another topic has is a Conflict.
func (s *Store) PatchTopic(ctx context.Context, slug string, change TopicPatch) (Topic, error) {
	if err := change.check(); err != nil {
		return Topic{}, err
	}
	var t Topic
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		all, err := lockedTopics(tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(o Topic) bool { return o.Slug == slug })
		if at < 0 {
			return errNoTopic
		}
		t = change.applied(all[at], s.moment())
		if err := unclaimed(all, t); err != nil {
			return err
		}
		return tx.Model(&t).Select("title", "payloads", "updated_at").UpdateColumns(&t).Error
	})
	if err != nil {
		return Topic{}, fmt.Errorf("change topic: %w", err)
	}
	return t, nil
}

func (p TopicPatch) applied(t Topic, now time.Time) Topic {
	if p.Title != nil {
		t.Title = *p.Title
	}
	if p.Payloads != nil {
		t.Payloads = list(*p.Payloads)
	}
	t.UpdatedAt = now
	return t
}

// TestPayload begins the payloads of a Page's self-tests; the test's id follows.
// What is granted for them is no permission for campaigns.
const TestPayload = "bk:test:"

// TestTitle is what the question of a self-test shows.
const TestTitle = "Beckon self-test: one message"

// Asked is what somebody was asked for: a topic and, when the question was ours,
// the request.
type Asked struct {
	Topic   string
	Request uuid.UUID
}

// TopicsOf tells which topics the payloads of opt-ins belong to, and the requests
// they answer when the payloads were set by us. A payload nobody knows belongs to
// Unsorted.
func (s *Store) TopicsOf(ctx context.Context, tx *db.Tx, payloads []string) (map[string]Asked, error) {
	out := make(map[string]Asked, len(payloads))
	if len(payloads) == 0 {
		return out, nil
	}
	requests, err := topicsOfRequests(ctx, tx, payloads)
	if err != nil {
		return nil, err
	}
	var all []Topic
	if err := tx.WithContext(ctx).Raw("SELECT " + topicCols + " FROM topics").Scan(&all).Error; err != nil {
		return nil, fmt.Errorf("find the topics of payloads: %w", err)
	}
	for _, p := range payloads {
		out[p] = Asked{Topic: Unsorted}
		for _, t := range all {
			if t.Slug == p || slices.Contains(t.Payloads, p) {
				out[p] = Asked{Topic: t.Slug}
				break
			}
		}
		if id, ours := requestOf(p); ours && requests[id] != "" {
			out[p] = Asked{requests[id], id}
		}
	}
	return out, nil
}

func topicIn(tx *db.Tx, slug string) (Topic, error) {
	var found []Topic
	err := tx.Raw("SELECT "+topicCols+" FROM topics WHERE slug = ?", slug).Scan(&found).Error
	return oneTopic(found, err)
}

func oneTopic(found []Topic, err error) (Topic, error) {
	switch {
	case err != nil:
		return Topic{}, fmt.Errorf("get topic: %w", err)
	case len(found) == 0:
		return Topic{}, errNoTopic
	}
	return found[0], nil
}

// lockedTopics reads all topics once nobody else changes one. The built-in
// topic's row is the lock; tokens can still be granted meanwhile.
func lockedTopics(tx *db.Tx) ([]Topic, error) {
	if err := tx.Exec("UPDATE topics SET title = title WHERE slug = ?", Unsorted).Error; err != nil {
		return nil, fmt.Errorf("lock topics: %w", err)
	}
	var all []Topic
	if err := tx.Raw("SELECT " + topicCols + " FROM topics").Scan(&all).Error; err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	return all, nil
}

// unclaimed makes sure that a payload leads to one topic only.
func unclaimed(all []Topic, t Topic) error {
	for _, o := range all {
		if o.Slug == t.Slug {
			continue
		}
		if slices.Contains(o.Payloads, t.Slug) {
			return payloadTaken("/slug")
		}
		for i, p := range t.Payloads {
			if p == o.Slug || slices.Contains(o.Payloads, p) {
				return payloadTaken("/payloads/" + strconv.Itoa(i))
			}
		}
	}
	return nil
}

func payloadTaken(pointer string) error {
	return fault.New(fault.Conflict, "payload_taken", "Another topic has this payload.").
		With(fault.Field{Pointer: pointer, Code: "payload_taken", Detail: "Another topic has this payload."})
}

func (d TopicDraft) check() error {
	var bad []fault.Field
	if !slugs.MatchString(d.Slug) {
		bad = append(bad, fault.Field{Pointer: "/slug", Code: "pattern", Detail: "Must be 1 to 64 lower-case letters, digits, _ and -, the first a letter or digit."})
	}
	bad = append(bad, checkTitle(d.Title)...)
	return fault.InvalidFields(append(bad, checkPayloads(d.Payloads)...)...)
}

func (p TopicPatch) check() error {
	var bad []fault.Field
	if p.Title != nil {
		bad = checkTitle(*p.Title)
	}
	if p.Payloads != nil {
		bad = append(bad, checkPayloads(*p.Payloads)...)
	}
	return fault.InvalidFields(bad...)
}

func checkTitle(title string) []fault.Field {
	if strings.TrimSpace(title) != "" && storable(title, maxTitle) {
		return nil
	}
	return []fault.Field{{Pointer: "/title", Code: "length", Detail: "Must be a text of 1 to 65 characters."}}
}

func checkPayloads(payloads []string) []fault.Field {
	if len(payloads) > maxPayloads {
		return []fault.Field{{Pointer: "/payloads", Code: "length", Detail: "Must be at most 100 payloads."}}
	}
	var bad []fault.Field
	for i, p := range payloads {
		at := "/payloads/" + strconv.Itoa(i)
		switch {
		case !storable(p, maxPayload):
			bad = append(bad, fault.Field{Pointer: at, Code: "length", Detail: "Must be a text of 1 to 1000 characters."})
		case strings.HasPrefix(p, ours), strings.HasPrefix(p, TestPayload):
			bad = append(bad, fault.Field{Pointer: at, Code: "reserved", Detail: "Payloads that begin with " + ours + " or " + TestPayload + " are kept for our own requests."})
		case slices.Contains(payloads[:i], p):
			bad = append(bad, fault.Field{Pointer: at, Code: "duplicate", Detail: "Stands in the list already."})
		}
	}
	return bad
}

// storable reports whether both engines can keep the text.
func storable(s string, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= most && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// list is never nil: what is stored is a list.
func list(payloads []string) []string { return append([]string{}, payloads...) }
