// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// A report is the figures of a run.
type report struct{ rows []*row }

// A row is one kind of work on so many links. Batch is the time of ip and bridge where they do the same work, and
// ratio ours to theirs in the same round.
type row struct {
	work                string
	links               int
	time, batch, ratio  []float64
	allocations, memory []float64
}

// add takes in one round. A batch of 0 means that there is nothing to compare with.
func (r *report) add(work string, links int, c cost, batch time.Duration) {
	i := slices.IndexFunc(r.rows, func(x *row) bool { return x.work == work && x.links == links })
	if i < 0 {
		r.rows = append(r.rows, &row{work: work, links: links})
		i = len(r.rows) - 1
	}
	x := r.rows[i]
	x.time = append(x.time, c.time.Seconds())
	x.allocations = append(x.allocations, float64(c.allocs))
	x.memory = append(x.memory, float64(c.memory)/1024)
	if batch > 0 {
		x.batch = append(x.batch, batch.Seconds())
		x.ratio = append(x.ratio, c.time.Seconds()/batch.Seconds())
	}
}

// What is aimed at: a plan is carried out in at most half as much time again as ip and bridge take, and ten times the
// links cost at most ten times as much, but for a tenth that is noise.
const (
	ratioTarget  = 1.5
	growthTarget = 1.1
)

// write prints the figures as a table, medians over the rounds, with what was aimed at where it was missed.
func (r *report) write(out io.Writer) error {
	slices.SortStableFunc(r.rows, func(a, b *row) int {
		return slices.Index(kinds(), a.work) - slices.Index(kinds(), b.work)
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "WORK\tLINKS\tMS\tBATCH MS\tRATIO\tALLOCATIONS\tKIB\tGROWTH A LINK\tOF THE BATCH\t")
	for n, x := range r.rows {
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\t%s\t%.0f\t%.0f\t", x.work, x.links, 1000*median(x.time),
			x.batchText(), x.ratioText(), median(x.allocations), median(x.memory))
		if n > 0 && r.rows[n-1].work == x.work {
			fmt.Fprintf(table, "%s\t", x.growthText(r.rows[n-1]))
		} else {
			fmt.Fprint(table, "\t\t")
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// kinds returns the kinds of work in the order of the table.
func kinds() []string { return []string{"read", "plan", "apply", "idle pass"} }

func (x *row) batchText() string {
	if len(x.batch) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 1000*median(x.batch))
}

func (x *row) ratioText() string {
	if len(x.ratio) == 0 {
		return "-"
	}
	ratio := median(x.ratio)
	return fmt.Sprintf("%.2f", ratio) + missed(ratio, ratioTarget)
}

// growthText returns how much more time a link takes than it took among fewer links, by us and by the batch. What the
// kernel itself takes longer for is in both: there the batch is what we must not be worse than.
func (x *row) growthText(small *row) string {
	more := float64(x.links) / float64(small.links)
	growth := median(x.time) / median(small.time) / more
	if len(x.batch) == 0 {
		return fmt.Sprintf("%.2f%s\t-", growth, missed(growth, growthTarget))
	}
	theirs := median(x.batch) / median(small.batch) / more
	return fmt.Sprintf("%.2f%s\t%.2f", growth, missed(growth, growthTarget*max(1, theirs)), theirs)
}

func missed(value, target float64) string {
	if value <= target {
		return ""
	}
	return fmt.Sprintf(" (target %.2f)", target)
}

// median returns the middle of the values, which stay as they are.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
