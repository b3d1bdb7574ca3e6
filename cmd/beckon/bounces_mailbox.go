package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// mostMessage is as much of a message as is handed in: reports stand at its
// beginning, and servers take no more.
const mostMessage = 1 << 20

// handIn hands in all messages of a source, and says how many were taken. One that
// is not taken costs only itself.
func handIn(cmd *cobra.Command, source string, take func(context.Context, []byte) error) (n int, err error) {
	ctx := cmd.Context()
	if source == "-" {
		return handInAll(ctx, cmd.InOrStdin(), take)
	}
	if info, err := os.Stat(source); err != nil {
		return 0, fmt.Errorf("open the source: %w", err)
	} else if info.IsDir() {
		return handInMaildir(ctx, source, take)
	}
	f, err := os.Open(source)
	if err != nil {
		return 0, fmt.Errorf("open the source: %w", err)
	}
	defer f.Close()
	return handInAll(ctx, f, take)
}

// handInMaildir hands in what is new in a Maildir, and moves what was taken among
// what has been seen. A message that comes meanwhile waits for the next time.
func handInMaildir(ctx context.Context, dir string, take func(context.Context, []byte) error) (n int, err error) {
	fresh, seen := filepath.Join(dir, "new"), filepath.Join(dir, "cur")
	entries, err := os.ReadDir(fresh)
	if err != nil {
		return 0, fmt.Errorf("%s is no Maildir: %w", dir, err)
	}
	if err := os.MkdirAll(seen, 0o700); err != nil {
		return 0, err
	}
	var failed error
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err := handInFile(ctx, filepath.Join(fresh, e.Name()), take)
		if err == nil {
			n++
			err = os.Rename(filepath.Join(fresh, e.Name()), filepath.Join(seen, e.Name()+":2,S"))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.Name(), err))
		}
	}
	return n, failed
}

func handInFile(ctx context.Context, name string, take func(context.Context, []byte) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	message, err := io.ReadAll(io.LimitReader(f, mostMessage))
	if err != nil || len(bytes.TrimSpace(message)) == 0 {
		return err
	}
	return take(ctx, message)
}

// handInAll hands in one message, or all of an mbox.
func handInAll(ctx context.Context, r io.Reader, take func(context.Context, []byte) error) (n int, err error) {
	var failed error
	place := 0
	err = messages(r, func(message []byte) {
		place++
		if err := take(ctx, message); err != nil {
			failed = errors.Join(failed, fmt.Errorf("message %d: %w", place, err))
			return
		}
		n++
	})
	return n, errors.Join(failed, err)
}

// messages cuts an mbox into its messages: each begins with a line "From " after
// an empty one, and within a message such lines have a ">" in front. What does not
// begin so is one message. No more of a message is kept than is handed in.
func messages(r io.Reader, each func([]byte)) error {
	in := bufio.NewReader(r)
	var message []byte
	mbox, empty, first := false, true, true
	end := func() {
		if len(bytes.TrimSpace(message)) > 0 {
			each(slices.Clone(message))
		}
		message = message[:0]
	}
	for {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case first && bytes.HasPrefix(line, []byte("From ")):
			mbox = true
		case mbox && empty && bytes.HasPrefix(line, []byte("From ")):
			end()
		default:
			if mbox && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) && line[0] == '>' {
				line = line[1:]
			}
			message = append(message, line[:min(len(line), mostMessage-len(message))]...)
		}
		if first = false; err != nil && !long {
			end()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read the source: %w", err)
		}
		empty = len(bytes.TrimRight(line, "\r\n")) == 0
	}
}
