package contact

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

const (
	importsAtOnce = 2
	chunkLines    = 2000
	chunkBytes    = 4 << 20
	maxRefusals   = 20 // of one line
)

type importArgs struct {
	ImportID uuid.UUID `json:"import_id"`
}

func (importArgs) Kind() string { return "contact.import" }

// cursor is how far an import has come. It is saved in the transaction of the
// lines before it.
type cursor struct {
	Offset int64    `json:"offset"`
	Line   int64    `json:"line"` // physical lines before it
	Comma  byte     `json:"comma,omitempty"`
	Header []string `json:"header,omitempty"`
}

// errOvertaken says that another run of the job is at work on the import.
var errOvertaken = errors.New("another run is at work on the import")

// work is one run of an import's job: it works for a while and enqueues the
// rest. A run that was given up for dead and goes on after all notices that
// another one has moved the cursor, and leaves.
func (s *Store) work(ctx context.Context, job queue.Job[importArgs]) error {
	run, err := s.open(ctx, job.Args.ImportID)
	switch {
	case err != nil || run == nil:
		return err
	case run.problem != "":
		return s.abandon(ctx, run.id, run.problem)
	}
	if err := run.work(ctx); !errors.Is(err, errOvertaken) {
		return err
	}
	return nil
}

func (r *importRun) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	chunks := r.read(ctx)
	err := r.writeAll(ctx, chunks, time.Now().Add(r.store.budget))
	cancel()
	for range chunks { // until the reader has ended
	}
	return err
}

// importRun is one run over an import.
type importRun struct {
	store   *Store
	id      uuid.UUID
	dry     bool
	kind    ImportKind
	format  Format
	options ImportOptions
	origin  origin
	cursor  cursor
	columns columns
	fields  []string // of suppressions in CSV
	source  *source
	problem string // why nothing can be read
}

// importRow is what a run needs of the row.
type importRow struct {
	Kind            ImportKind
	Format          Format
	DryRun          bool
	State           string
	Options, Cursor Attributes
	CreatedAt       time.Time
}

// open returns a run that goes on at the saved cursor, or nil when there is
// nothing left to do.
func (s *Store) open(ctx context.Context, id uuid.UUID) (*importRun, error) {
	var rows []importRow
	if err := s.db.Read(ctx).Raw("SELECT kind, format, dry_run, state, options, cursor, created_at FROM imports WHERE id = ?", id).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read an import: %w", err)
	}
	if len(rows) == 0 || !workable(rows[0].State) {
		return nil, nil //nolint:nilnil // nothing to do is not an error
	}
	row := rows[0]
	run := &importRun{store: s, id: id, dry: row.DryRun, kind: row.Kind, format: row.Format}
	if err := errors.Join(json.Unmarshal(row.Options, &run.options), json.Unmarshal(row.Cursor, &run.cursor)); err != nil {
		return nil, fmt.Errorf("read an import: %w", err)
	}
	run.options.Topic = cmp.Or(run.options.Topic, "unsorted")
	run.origin = origin{source: cmp.Or(run.options.ConsentSource, "import"), how: HowImport, fromFile: true, at: s.now()}
	var err error
	if run.source, err = newSource(run.cursor.Offset, s.partsOf(ctx, id)); err != nil {
		return nil, err
	}
	return run, run.start()
}

func workable(state string) bool { return state == Queued || state == Running }

// start reads what stands before the lines: the byte order mark and the names
// of the columns.
func (r *importRun) start() error {
	if r.cursor.Offset == 0 {
		if err := r.skipMark(); err != nil || r.problem != "" {
			return err
		}
	}
	if r.format != CSV {
		return nil
	}
	if r.cursor.Header == nil {
		names, comma, lines, err := r.source.readHeader()
		if err != nil {
			return err
		}
		r.cursor.Header, r.cursor.Comma, r.cursor.Line = names, comma, int64(lines)
	}
	if r.kind == ImportSuppressions {
		r.fields, r.problem = silenceFields(r.cursor.Header)
	} else {
		r.columns, r.problem = r.store.compile(r.cursor.Header, r.options)
	}
	return nil
}

func (r *importRun) skipMark() error {
	if err := r.source.fill(3); err != nil {
		return err
	}
	head := r.source.rest[:min(3, len(r.source.rest))]
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		r.source.take(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		r.problem = "The file is UTF-16: save it as UTF-8."
	}
	return nil
}

// chunk is a number of lines for one transaction, and the cursor around it.
type chunk struct {
	from    int64 // offset
	to      cursor
	records []record
	items   []item // of the records that can be read, in order
	last    bool
	err     error
}

// read reads, decodes and checks ahead of the writer. The channel is closed
// after the last chunk, after an error, or when ctx ends.
func (r *importRun) read(ctx context.Context) <-chan chunk {
	out := make(chan chunk, 1)
	from := r.cursor.Offset
	go func() {
		defer close(out)
		for {
			c := r.nextChunk(from)
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
			if c.last || c.err != nil {
				return
			}
			from = c.to.Offset
		}
	}()
	return out
}

func (r *importRun) nextChunk(from int64) chunk {
	c := chunk{from: from}
	start := r.source.at
	for len(c.records) < chunkLines && r.source.at-start < chunkBytes && !c.last && c.err == nil {
		if c.last, c.err = r.source.done(); c.last || c.err != nil {
			break
		}
		var rec record
		var lines int
		if rec, lines, c.err = r.nextRecord(r.cursor.Line + 1); c.err == nil {
			r.cursor.Line += int64(lines)
			if !rec.blank {
				c.records = append(c.records, rec)
			}
		}
	}
	r.cursor.Offset = r.source.at
	c.to = r.cursor
	c.items = r.checkAll(c.records)
	return c
}

func (r *importRun) nextRecord(line int64) (record, int, error) {
	if r.format == NDJSON {
		rec, err := r.source.nextLine(line)
		return rec, 1, err
	}
	reader := csvReader{r.source, r.cursor.Comma, len(r.cursor.Header)}
	return reader.next(line)
}

// checkAll decodes and checks records on all processors. An item is made for
// each, in order; those of refused records carry what is wrong.
func (r *importRun) checkAll(records []record) []item {
	items := make([]item, len(records))
	each := (len(records) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for from := 0; from < len(records); from += each {
		wg.Go(func() {
			for i := from; i < min(from+each, len(records)); i++ {
				items[i] = r.check(records[i])
			}
		})
	}
	wg.Wait()
	return items
}

func (r *importRun) check(rec record) item {
	if len(rec.fields) == 0 && !rec.valid() {
		rec.refuse("", "bad_encoding", "Is not UTF-8.")
	}
	if len(rec.fields) > 0 {
		return item{fields: rec.fields}
	}
	if r.kind == ImportSuppressions {
		return r.checkSilence(rec)
	}
	var d Draft
	if r.format == NDJSON {
		d = rec.draftOf(r.options)
	} else {
		d, rec = r.columns.draftOf(rec)
	}
	it := r.store.check(d, match, r.origin)
	it.fields = tidyFields(append(rec.fields, it.fields...))
	r.fill(&it, rec)
	return it
}

func (r *record) valid() bool {
	return utf8.Valid(r.raw) && !slices.ContainsFunc(r.cells, func(c string) bool { return !utf8.ValidString(c) })
}

// tidyFields leaves the first complaint about each place, in the order of
// places, and not too many.
func tidyFields(fields []fault.Field) []fault.Field {
	slices.SortStableFunc(fields, func(a, b fault.Field) int { return cmp.Compare(a.Pointer, b.Pointer) })
	fields = slices.CompactFunc(fields, func(a, b fault.Field) bool { return a.Pointer == b.Pointer })
	return fields[:min(len(fields), maxRefusals)]
}

func (r *importRun) writeAll(ctx context.Context, chunks <-chan chunk, until time.Time) error {
	for c := range chunks {
		if c.err != nil {
			return c.err
		}
		late := time.Now().After(until)
		err := r.store.db.Transact(ctx, func(tx *db.Tx) error {
			if err := r.write(ctx, tx, c); err != nil || c.last || !late {
				return err
			}
			return r.store.queue.Insert(ctx, tx, queue.Order{Args: importArgs{ImportID: r.id}})
		})
		if err != nil || c.last || late {
			return err
		}
	}
	return ctx.Err()
}

// write does one chunk: the contacts, what became of the lines and the cursor
// are one transaction, so that no line is done twice or left out.
func (r *importRun) write(ctx context.Context, tx *db.Tx, c chunk) error {
	var at []importRow
	if err := tx.Raw("SELECT state, cursor FROM imports WHERE id = ?"+tx.ForUpdate(), r.id).Scan(&at).Error; err != nil {
		return fmt.Errorf("lock an import: %w", err)
	}
	var now cursor
	if len(at) == 0 || !workable(at[0].State) || json.Unmarshal(at[0].Cursor, &now) != nil || now.Offset != c.from {
		return errOvertaken
	}
	results, err := r.apply(ctx, tx, c.items)
	if err != nil {
		return err
	}
	created, refused, rows := r.tally(c.records, results)
	if err := tx.Copy("import_refusals", []string{"import_id", "line", "pointer", "code", "detail"}, rows); err != nil {
		return err
	}
	lines := len(c.records)
	if err := tx.Exec(`UPDATE imports SET state = ?, cursor = ?, lines = lines + ?, created = created + ?, updated = updated + ?, refused = refused + ? WHERE id = ?`,
		Running, string(marshal(c.to)), lines, created, lines-created-refused, refused, r.id).Error; err != nil {
		return fmt.Errorf("save an import's cursor: %w", err)
	}
	if c.last {
		return r.store.end(tx, r.id, Finished, "")
	}
	return nil
}

func (r *importRun) apply(ctx context.Context, tx *db.Tx, items []item) ([]Result, error) {
	if len(items) == 0 {
		return nil, nil
	}
	if !r.dry {
		return r.applyAll(ctx, tx, items)
	}
	if err := tx.Exec("SAVEPOINT dry_run").Error; err != nil {
		return nil, fmt.Errorf("set a savepoint: %w", err)
	}
	results, err := r.applyAll(ctx, tx, items)
	if err != nil {
		return nil, err
	}
	return results, errors.Join(tx.Exec("ROLLBACK TO SAVEPOINT dry_run").Error, tx.Exec("RELEASE SAVEPOINT dry_run").Error)
}

func (r *importRun) applyAll(ctx context.Context, tx *db.Tx, items []item) ([]Result, error) {
	if r.kind == ImportSuppressions {
		return r.store.silenceAll(tx, items)
	}
	return r.store.settle(ctx, tx, items)
}

// tally counts results and makes a row for each complaint.
func (r *importRun) tally(records []record, results []Result) (created, refused int, rows [][]any) {
	for i, res := range results {
		if res.Created {
			created++
		}
		if res.Err == nil {
			continue
		}
		refused++
		var f *fault.Error
		errors.As(res.Err, &f)
		for _, one := range f.Fields {
			rows = append(rows, []any{r.id, records[i].line, one.Pointer, one.Code, one.Detail})
		}
	}
	return created, refused, rows
}
