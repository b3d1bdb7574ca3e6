package api

// Server answers the operations of the specification: one file per resource.
type Server struct {
	keys *Keys
}
