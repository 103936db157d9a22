package generate_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"shardload/generate"
)

// A dataset of any size is the same for the same Config, on every machine.
func Example() {
	data, err := generate.New(generate.Config{Companies: 3, Campaigns: 10, Ads: 100, Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	for company := range data.Companies() {
		fmt.Println(company.ID)
	}
	// Output:
	// 1
	// 2
	// 3
}

// The files of a dataset have a manifest beside them that says what is in them.
func ExampleDataset_Write() {
	dir, err := os.MkdirTemp("", "shardload-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	data, err := generate.New(generate.Config{Companies: 3, Campaigns: 10, Ads: 100, Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := data.Write(context.Background(), dir, generate.Output{})
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range manifest.Files {
		fmt.Println(file.Name, file.Rows)
	}
	// Output:
	// companies.csv 3
	// campaigns.csv 10
	// ads.csv 100
}
