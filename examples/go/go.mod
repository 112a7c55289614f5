// SPDX-License-Identifier: Apache-2.0
module example.com/lifecycle

// What the registry's client states; Go 1.19 builds it all the same.
go 1.21

require (
	github.com/google/uuid v1.6.0
	github.com/linkedin/goavro/v2 v2.15.0
	github.com/twmb/franz-go v1.16.1
	github.com/twmb/franz-go/pkg/sr v1.1.0
)

require (
	github.com/golang/snappy v0.0.1 // indirect
	github.com/klauspost/compress v1.17.4 // indirect
	github.com/pierrec/lz4/v4 v4.1.19 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.7.0 // indirect
)
