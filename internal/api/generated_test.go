package api

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/api/patch"
	"beckon/internal/db/dbtest"
)

// recorder keeps what the generated code hands to the operations.
type recorder struct {
	rest
	upsert   gen.UpsertContactRequestObject
	contact  gen.UpdateContactRequestObject
	campaign gen.UpdateCampaignRequestObject
	created  gen.CreateCampaignRequestObject
	contacts gen.ListContactsRequestObject
}

func (r *recorder) UpsertContact(_ context.Context, q gen.UpsertContactRequestObject) (gen.UpsertContactResponseObject, error) {
	r.upsert = q
	return gen.UpsertContact201JSONResponse{ExternalID: &q.ExternalID}, nil
}

func (r *recorder) UpdateContact(_ context.Context, q gen.UpdateContactRequestObject) (gen.UpdateContactResponseObject, error) {
	r.contact = q
	return gen.UpdateContact200JSONResponse{}, nil
}

func (r *recorder) UpdateCampaign(_ context.Context, q gen.UpdateCampaignRequestObject) (gen.UpdateCampaignResponseObject, error) {
	r.campaign = q
	return gen.UpdateCampaign200JSONResponse{}, nil
}

func (r *recorder) CreateCampaign(_ context.Context, q gen.CreateCampaignRequestObject) (gen.CreateCampaignResponseObject, error) {
	r.created = q
	return gen.CreateCampaign201JSONResponse{}, nil
}

func (r *recorder) ListContacts(_ context.Context, q gen.ListContactsRequestObject) (gen.ListContactsResponseObject, error) {
	r.contacts = q
	return gen.ListContacts200JSONResponse{}, nil
}

func setupRecorder(t *testing.T) (*bundle, *recorder) {
	t.Helper()
	b, r := newBundle(t, dbtest.SQLite(t)), &recorder{}
	gen.RegisterHandlers(b.e, gen.NewStrictHandler(r, nil))
	return b, r
}

var mergePatch = map[string]string{"Content-Type": "application/merge-patch+json"} //nolint:gochecknoglobals // a constant of the tests

// The ids of a CRM are theirs: whatever is in them, they arrive unescaped once.
func TestExternalIDsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	b, r := setupRecorder(t)
	for path, want := range map[string]string{
		"plain": "plain", "a%2Fb": "a/b", "50%25": "50%", "a%252Fb": "a%2Fb", "a%20b": "a b", "a+b": "a+b", "%C3%A9": "é", "a.b": "a.b", "%3F": "?",
	} {
		w := b.do(call{Method: "PUT", Path: "/v1/contacts/by-external-id/" + path, Body: `{}`})
		require.Equal(t, 201, w.Code, "%s: %s", path, w.Body)
		require.Equal(t, want, r.upsert.ExternalID, path)
	}
	require.Equal(t, 404, b.do(call{Method: "PUT", Path: "/v1/contacts/by-external-id/a/b", Body: `{}`}).Code)
	require.Equal(t, 404, b.do(call{Method: "PUT", Path: "/v1/contacts/by-external-id/", Body: `{}`}).Code)
}

func TestPatchesTellSetNullAndLeftOutApart(t *testing.T) {
	t.Parallel()
	b, r := setupRecorder(t)
	w := b.do(call{Method: "PATCH", Path: "/v1/contacts/" + contactID, Headers: mergePatch,
		Body: `{"phone":null,"email":"a@example.com","attributes":{"gone":null,"number":12345678901234567890}}`})
	require.Equal(t, 200, w.Code, w.Body)
	got := r.contact.Body
	require.Equal(t, uuid.MustParse(contactID), r.contact.ID)
	require.Equal(t, patch.Field[string]{Set: true, Null: true}, got.Phone)
	require.Equal(t, patch.Field[string]{Set: true, Value: "a@example.com"}, got.Email)
	require.False(t, got.FirstName.Set)
	require.Equal(t, gen.Attributes{"gone": nil, "number": json.Number("12345678901234567890")}, got.Attributes)
	require.Nil(t, got.Consents)
}

func TestPatchesOfACampaignReplaceItsParts(t *testing.T) {
	t.Parallel()
	b, r := setupRecorder(t)
	w := b.do(call{Method: "PATCH", Path: "/v1/campaigns/" + pageID, Headers: mergePatch,
		Body: `{"audience":null,"route":["sms"],"content":{"sms":{"text":"x"},"email":null}}`})
	require.Equal(t, 200, w.Code, w.Body)
	got := r.campaign.Body
	require.True(t, got.Audience.Null)
	require.Equal(t, gen.Route{gen.LaneSMS}, got.Route.Value)
	require.Equal(t, "x", got.Content.SMS.Value.Text)
	require.True(t, got.Content.Email.Null)
	require.False(t, got.Content.Messenger.Set)
	require.Nil(t, got.Name)
}

func TestAudienceRulesArriveAsWritten(t *testing.T) {
	t.Parallel()
	b, r := setupRecorder(t)
	const rules = `{"any":[{"field":"attributes.n","op":"gte","value":1.50},{"not":{"field":"has_token","op":"eq","value":"courses"}}]}`
	w := b.do(call{Method: "POST", Path: "/v1/campaigns",
		Body: `{"name":"a","page_id":"` + pageID + `","topic":"courses","content":{},"audience":` + rules + `}`})
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, rules, string(r.created.Body.Audience))
	require.Nil(t, r.created.Body.FallThrough)
	require.Nil(t, r.created.Body.Route)
}

func TestFiltersArriveUnescaped(t *testing.T) {
	t.Parallel()
	b, r := setupRecorder(t)
	w := b.do(call{Method: "GET", Path: "/v1/contacts?email=a%2Bb%40example.com&phone=%2B447700900123&limit=5"})
	require.Equal(t, 200, w.Code, w.Body)
	require.Equal(t, "a+b@example.com", *r.contacts.Params.Email)
	require.Equal(t, "+447700900123", *r.contacts.Params.Phone)
	require.Equal(t, 5, *r.contacts.Params.Limit)
	require.Nil(t, r.contacts.Params.Cursor)
}
