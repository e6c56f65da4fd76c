// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// A blockWrite is what one write of a block costs in which every address is held.
type blockWrite struct {
	Kept      string  `json:"kept"`
	Bytes     int     `json:"bytes"`
	APIServer float64 `json:"apiServerMilliseconds"`
	Etcd      float64 `json:"etcdMilliseconds"`
}

const (
	// blockRounds is how often each way to keep a block is measured, in turns, and writesPerRound how often it is written
	// then.
	blockRounds, writesPerRound = 4, 50
	configMap                   = "a ConfigMap of the rows"
)

// A keeper is a way to keep a block.
type keeper struct {
	name  string
	write func(context.Context, *macpool.Block) (*macpool.Block, error)
}

// keepers are the ways that a block can be kept. The last is what the API server does at the least for so many bytes.
func (b *bench) keepers() []keeper {
	rows := cluster.KubeStore{Client: b.suite.Client}
	structures := cluster.KubeStore{Client: b.suite.Client, Format: &cluster.Format{}}
	text := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "block"}}
	return []keeper{
		{"rows", rows.Put},
		{"structures, as in the release before", structures.Put},
		{configMap, func(ctx context.Context, block *macpool.Block) (*macpool.Block, error) {
			text.Data = map[string]string{"rows": strings.Join(cluster.EncodeBlock(block).Rows, "\n")}
			if text.ResourceVersion == "" {
				return block, b.suite.Client.Create(ctx, text)
			}
			return block, b.suite.Client.Update(ctx, text)
		}},
	}
}

// measureBlock measures what the API server does to write one block. There is no replica that would read it.
func (b *bench) measureBlock(ctx context.Context) error {
	for _, r := range b.suite.Running() {
		if err := b.suite.StopReplica(ctx, r); err != nil {
			return err
		}
	}
	var err error
	if b.anyway, err = b.idle(ctx); err != nil {
		return err
	}
	ways := b.keepers()
	blocks := make([]*macpool.Block, len(ways))
	for i, way := range ways {
		blocks[i] = fullBlock(macpool.Prefix{2, 0, 0, 0, byte(i)})
		if blocks[i], err = way.write(ctx, blocks[i]); err != nil {
			return err
		}
		size, err := b.size(ctx, way.name, blocks[i])
		if err != nil {
			return err
		}
		b.report.Block = append(b.report.Block, blockWrite{Kept: way.name, Bytes: size})
	}
	for round := range blockRounds {
		fmt.Fprintf(os.Stderr, "\rwrites of a block: round %d of %d   ", round+1, blockRounds)
		for i, way := range ways {
			if blocks[i], err = b.writeOften(ctx, way, blocks[i], &b.report.Block[i]); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// writeOften writes a block over and over, half of it changed, and adds what that cost.
func (b *bench) writeOften(
	ctx context.Context, way keeper, block *macpool.Block, cost *blockWrite,
) (*macpool.Block, error) {
	s, err := b.watched(ctx, writesPerRound, time.Second, func() (sample, error) {
		var err error
		for i := range writesPerRound {
			renewHalf(block, i%2)
			if block, err = way.write(ctx, block); err != nil {
				return sample{}, err
			}
		}
		return sample{}, nil
	})
	cost.APIServer += milliseconds(s.cpu.apiServer) / blockRounds
	cost.Etcd += milliseconds(s.cpu.etcd) / blockRounds
	return block, err
}

// size is that of what is stored, as JSON.
func (b *bench) size(ctx context.Context, kept string, block *macpool.Block) (int, error) {
	path := "/apis/bridgehead.dev/v1alpha1/macblocks/" + block.Prefix.String()
	if kept == configMap {
		path = "/api/v1/namespaces/default/configmaps/block"
	}
	text, err := b.suite.Kubectl(ctx, "get", "--raw", path)
	return len(text), err
}

// fullBlock is a block in which every address is held by a VM.
func fullBlock(p macpool.Prefix) *macpool.Block {
	block := macpool.NewBlock(p)
	for i := range 256 {
		hold := macpool.Hold{Since: time.Now(), Holder: macpool.Holder{
			Object:    macpool.Object{Kind: macpool.KindVM, Namespace: "bench", Name: fmt.Sprint("vm-", i/2)},
			Interface: fmt.Sprint("br0-", i%2),
		}}
		block.Set(p.Address(byte(i)), macpool.Entry{Holds: []macpool.Hold{hold}})
	}
	return block
}

// renewHalf gives half of the addresses of a block anew to those who have them.
func renewHalf(block *macpool.Block, half int) {
	for i := 128 * half; i < 128*(half+1); i++ {
		m := block.Prefix.Address(byte(i))
		hold := block.Entry(m).Holds[0]
		hold.Since = time.Now()
		block.Set(m, macpool.Entry{Holds: []macpool.Hold{hold}})
	}
}

// writeBlocks prints what writes of blocks cost.
func writeBlocks(out io.Writer, blocks []blockWrite) error {
	if len(blocks) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nA WRITE OF A FULL BLOCK, KEPT IN\tBYTES\tAPI SERVER CPU MS\tETCD CPU MS\tRATIO\t")
	floor := blocks[len(blocks)-1]
	for _, x := range blocks {
		fmt.Fprintf(table, "%s\t%d\t%.2f\t%.2f\t%.2f\t\n", x.Kept, x.Bytes, x.APIServer, x.Etcd, x.APIServer/floor.APIServer)
	}
	return table.Flush()
}
