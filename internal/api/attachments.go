package api

import (
	"context"
	"strings"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// UploadAttachment serves POST /v1/pages/{id}/attachments.
func (s *Server) UploadAttachment(ctx context.Context, r gen.UploadAttachmentRequestObject) (gen.UploadAttachmentResponseObject, error) {
	if s.Upload == nil {
		return nil, fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
	}
	page, err := s.Pages.Sender(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	id, res := s.Upload(ctx, page, string(r.Body.Type), r.Body.URL)
	if res.Outcome == channel.StopTheLine && strings.HasPrefix(res.Code, "190") {
		if err := s.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error { return s.Pages.TokenRefused(ctx, tx, r.ID) }); err != nil {
			return nil, err
		}
	}
	return gen.UploadAttachment201JSONResponse{Type: string(r.Body.Type), AttachmentID: id}, notUploaded(res)
}

func notUploaded(res channel.Result) error {
	switch res.Outcome {
	case channel.Accepted:
		return nil
	case channel.TryLater, channel.Unknown:
		return fault.New(fault.Unavailable, "graph_unavailable", "Meta could not be asked now; try again.")
	case channel.StopTheLine:
		return fault.New(fault.Unavailable, "page_refused", "Meta refuses calls for this page: %s.", res.Detail)
	}
	return fault.New(fault.Invalid, "attachment_refused", "Meta does not take this file.").
		With(fault.Field{Pointer: "/url", Code: "attachment_refused", Detail: "It must be public, of the type that is named, and at most 25 MB."})
}
