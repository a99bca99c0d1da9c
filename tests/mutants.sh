# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# Small errors for mutate.sh to make:
#
#   mutant WHAT FILE SED-EXPRESSION TEST ..
#
# makes one in FILE; TESTs, the narrowest ones that ought to, see it.
vit='t400-gradients t420-mesh'

mutant 'residual of the MLP left out' src/vit/block.c \
    's/vit_act(v, KEPT_ACT, i), vit_act(v, KEPT_X1, i),/vit_act(v, KEPT_ACT, i), mat_none(),/' $vit
mutant 'residual of the parallel block left out' src/vit/block.c \
    's/vit_act(v, KEPT_OUT, i), vit_act(v, KEPT_X, i),/vit_act(v, KEPT_OUT, i), mat_none(),/' $vit
mutant 'gradient past the norm not added but written' src/vit/block.c \
    's/WORK_DX), true, vit_work/WORK_DX), false, vit_work/' $vit
mutant 'bias gradients at several model ranks missing' mesh/cmm.c \
    's/    c->db = c->mesh->M == 1 ? db : mat_none();/    c->db = db;/' $vit
mutant 'GAP backward without 1 / N' src/vit/head.c \
    '/dev_spread_rows/s|1 / (double)v->spec.N|1|' $vit
mutant 'loss scaled by B + 1' src/vit/loss.c \
    's|1 / (double)v->options.B|1 / ((double)v->options.B + 1)|' $vit
mutant 'patch bias gradient added to what was there' src/vit/patch.c \
    '/SLOT_PATCH_BIAS), each/{n;s/is_added/true/}' $vit
mutant 'norm widths of equal ranks' src/vit/norm.c \
    's/v->mesh->M, v->widths, v->spec.norm/1, v->widths, v->spec.norm/' $vit
mutant 'norm eps 1e-5' src/dev/cpu.h 's/CPU_NORM_EPS 1e-6/CPU_NORM_EPS 1e-5/' \
    t400-gradients
mutant 'attention scale 1 / E' src/dev/cpu_ref_real.h \
    's|factor = 1.0 / sqrt((double)E)|factor = 1.0 / (double)E|' t400-gradients \
    t220-dev-gradients
mutant 'sign of delta in attention backward' src/dev/cpu_ref_real.h \
    's/(dot(d, value, E) - delta)/(dot(d, value, E) + delta)/' t220-dev-gradients
mutant 'attention without its factor' src/dev/cpu_attn_real.h \
    's/a->Nk, a->E, m->factor)/a->Nk, a->E, 1)/' t210-dev-ops
mutant 'packed weights not packed again' src/dev/cpu_onednn_plan.c \
    '/^void onednn_weight_changed/,/^}/{/pack_now/d;}' t225-dev-bf16
mutant 'bf16 cut off, not rounded' src/dev/cpu_kernels_real.h \
    's/(w.u + 0x7fff + (top & 1)) >> 16/w.u >> 16/' t215-dev-kernels
mutant 'the last rows of a tile left out' src/dev/cpu_tile_real.h \
    's/for (; r < rows; r++)/for (; r < rows - 1; r++)/' t210-dev-ops
mutant 'GELU coefficient' src/dev/cpu_gelu.h 's/GELU_B 0.044715/GELU_B 0.044/' \
    t400-gradients t210-dev-ops
mutant 'AdamW without bias correction of mu' src/dev/cpu_ref_real.h \
    's|mu / debias1 /|mu /|' t430-update t230-dev-adamw
mutant 'wrong owner of a gathered slice' mesh/ring.c \
    's/return along(r, -r->turn);/return along(r, r->turn);/' t350-cmm
mutant 'wrong owner of a scattered slice' mesh/ring.c \
    's/return along(r, r->turn + 1);/return along(r, r->turn);/' t350-cmm
mutant 'both lanes turn the same way' mesh/ring.c \
    's/(r->lane == 0 ? steps : -steps)/steps/' t350-cmm
mutant 'half of the own slice not copied' mesh/ring.c \
    '/dev_copy(dev_stream(dev, LANE_COMPUTE), copy, r->own);/d' t350-cmm
mutant 'epilogue of a lane that may be empty' mesh/cmm_ring.c \
    's/M - 1 \&\& lane == 0 }/M - 1 \&\& lane == c->lanes - 1 }/' t350-cmm t352-narrow
mutant 'choices of the other pass' mesh/cmm.c \
    's/of\[c->product\]\[pass\]/of[c->product][1 - pass]/' t350-cmm
mutant 'sums round the end not added' mesh/doubling.c \
    's/if (all > first)/if (all < first)/' t320-coll
mutant 'stretches cut a byte too early' mesh/letter.c \
    's/length\[0\] = (int)first;/length[0] = (int)first - 1;/' t310-wire
mutant 'a thread that pushes nothing' mesh/progress.c \
    '/^        test_all(p, false);$/d' t317-thread
mutant 'a slower form chosen' src/step/tune.c \
    's/seconds\[k\] < (is_plain/seconds[k] > (is_plain/' t665-tune
mutant 'a bar that is not looked at' bench/result.c \
    's/100 \* t->hidden < percent/100 * t->hidden < 0/' t665-tune
mutant 'spans on the wrong rank in the trace' src/step/timeline.c \
    's/micro \* (s->start - zero), micro/micro * s->start, micro/' t662-trace
mutant 'arrived sums not added' mesh/ring.c \
    '/dev_add(s, piece_of/,/;$/d' t350-cmm
mutant 'gradients not summed over the data axis' mesh/flight.c \
    's/dev_add(f->plan.stream, parts_of(f, h.in), arrival(f, .h));/;/' t340-shard \
    t345-flight t420-mesh
mutant 'replicated gradients not summed over the model axis' mesh/shard_move.c \
    '/sum_over(sh, AXIS_MODEL, group);/d' t340-shard t420-mesh
mutant 'a part owned by its neighbour' mesh/shard_move.c \
    's/cut\[sh->layout->d\], cut/cut[0], cut/' t340-shard t436-full
mutant 'micro-batches written over each other' mesh/shard_move.c \
    's/return !sh->is_first_micro;/return false;/' t340-shard t436-full
mutant 'sharded sums written over each other' mesh/shard_move.c \
    '/^static void take_home/,/^}/s/if (sh->is_first_micro)/if (true)/' t340-shard \
    t436-full
mutant 'a group given back before backward is over' src/vit/vit.c \
    '/^        block_backward(v, i);/s/^/shard_release(v->shard, group_block(i));/' \
    t436-full
mutant 'a third group whole' src/vit/vit.c \
    '/^    shard_release(v->shard, GROUP_EMBED);/d' t436-full
mutant 'gathered too late' src/vit/vit.c \
    '/^    if (shard_gather_finish(v->shard, group))/,+1d' t436-full
mutant 'blocks not made again' src/vit/block.c \
    's/is_again = v->options.remat == REMAT_BLOCK/is_again = false/' t436-full
mutant 'the last row of a box in the next one' mesh/layout.c \
    's/to = (at + 1) \* inner;/to = (at + 1) * inner + 1;/' t330-layout
mutant 'cuts a row too late' src/plan/cut.c \
    's/offset + row - 1) \/ row/offset + row) \/ row/' t115-cut
mutant 'the odd rank left out' src/plan/hops.c \
    's/if (is_odd \&\& rank == hi - 1)/if (false)/' t117-hops
mutant 'blocks gathered once' src/plan/traffic.c 's/2 \* L - 1 : 1/L : 1/' \
    t140-traffic t500-step
mutant 'room of one group whole forgotten' src/plan/predict.c \
    's/room\[0\] + room\[1\]/room[0]/' t150-predict t500-step
mutant 'data ranks on two nodes taken for near' src/plan/hops.c \
    's/near = (int)split_divisor(near, r \/ M)/near = near/' t117-hops
mutant 'near ranks own neighbouring parts' src/plan/hops.c \
    's/return near > 1 ?/return near > ranks ?/' t117-hops
mutant 'far ranks sum the parts of others' src/plan/hops.c \
    's/\.part0  = rank % n \* far/.part0  = 0/' t117-hops
mutant 'a ring of many near ranks' src/plan/hops.c \
    's/ring_most || level <= HOPS_FEW/ring_most || level <= ring_most/' t117-hops
mutant 'room for a smaller half' src/plan/hops.c \
    's/1 : (first + 1) \/ 2/1 : first \/ 2/' t117-hops
mutant 'the owner of a part by its rank' mesh/layout.c \
    's/hops_part(d, D, near)/d/' t340-shard
mutant 'room as on one node' mesh/layout.c \
    's/l->is_sharded, l->D, near)/l->is_sharded, l->D, 1 + 0 * near)/' t340-shard
mutant 'a part rounded that another rank owns' mesh/flight.c \
    's/i = f->hops.part;/i = mesh_axis_rank(f->plan.mesh, f->plan.axis);/' t353-wires
mutant 'ranks of a node not near' mesh/mesh.c \
    's/hops_near(all, 0, mesh->D, mesh->M)/1/' t300-mesh
mutant 'the hops of a plan as on one node' src/plan/traffic.c \
    's/job->D, d, job->near, HOPS_RING/job->D, d, 1, HOPS_RING/' t500-step
mutant 'room of a plan as on one node' src/plan/predict.c \
    's/cut_room(c, is_cut, job->D, job->near)/cut_room(c, is_cut, job->D, 1)/' t500-step
mutant 'a gather among near ranks first' src/plan/forecast.c \
    's/kind == PARAM_GATHER ? 1 : 0;/0;/' t155-forecast
mutant 'links of two legs taken for one' src/plan/forecast.c \
    's/take_links(&t->links\[k\]/take_links(\&t->links[0]/' t155-forecast
mutant 'links between nodes that activations use, too' src/plan/forecast_cmm.c \
    's/p->ring.level == data.level/true/' t155-forecast
mutant 'pieces of a ring multiplied as one' src/plan/forecast_cmm.c \
    's/is_cut ? cmm_pieces(p->l.rows, M) : 1/is_cut ? 1 : 1/' t155-forecast
mutant 'sums of two directions of a ring made as one' src/plan/forecast_cmm.c \
    's/one->is_sum ? lanes : 1;/1;/' t155-forecast
mutant 'an epilogue once for all pieces of a ring' src/plan/forecast_cmm.c \
    's/if (is_last \&\& i % lanes == 0)/if (is_last \&\& i == 0)/' t530-played
mutant 'the model of a GPU copies what updates have left' src/dev/dev_model.c \
    's/dev->ops.adds_rest = dev->ops.has_copies =/dev->ops.adds_rest =/' t530-played
mutant 'a plan with the peak of another format' src/plan/cost.c \
    's/c->share \* m->peak\[dtype\]/c->share * bound_of(m, dtype)/' t625-dry
mutant 'reduce-scatter leaves out its own slice' mesh/coll.c \
    's/for (int j = 0; j < x.ranks; j++) {/for (int j = 1; j < x.ranks; j++) {/' \
    t320-coll
mutant 'clip at twice the norm' src/optim/optim.c \
    's|? most / norm|? 2 * most / norm|' t430-update
mutant 'weight decay of the head as of any kernel' src/optim/optim.c \
    's/(p->is_head ? o->head_decay : 1)/1/' t430-update
mutant 'Adafactor without the mean of its rows' src/dev/cpu_ref_update.h \
    's|sqrt(mean / at(a->v_row, 0)\[i\])|sqrt(1 / at(a->v_row, 0)[i])|' t435-optim
mutant 'Adafactor: averages not summed over the model axis' src/optim/adafactor.c \
    '/^    sum_over(o, AXIS_MODEL, n->own/d' t435-optim
mutant 'Adafactor: momentum not rounded to bf16' src/optim/adafactor.c \
    's/.is_mu_bf16 = true/.is_mu_bf16 = false/' t435-optim
mutant 'a cool-down that begins a step late' src/optim/sched.c \
    's/(s->steps - step)/(s->steps - step + 1)/' t437-sched
mutant 'every epoch in the same order' src/data/order.c \
    's/rng_bits(seed, stream, round)/rng_bits(seed, stream, 0)/' t441-order
mutant 'pixel centres at whole numbers' src/data/augment.c \
    's/(i + 0.5) \* scale/i * scale/' t442-augment
mutant 'crops of less than 5 %' src/data/augment.c \
    's/area_min = 0.05/area_min = 0.04/' t442-augment
mutant 'pictures for a device are never mirrored' src/data/augment.c \
    '/\.is_flipped = v->is_flipped/s/v->is_flipped/false/' t455-feed
mutant 'a picture for a device begins a column late' src/data/augment.c \
    's/\* p.width + box->x), row/* p.width + box->x + 1), row/' t455-feed
mutant 'the image before a row is not passed on' src/data/pass.c \
    's/split_start(n, M, m) + (m > 0)/split_start(n, M, m) + 1/' t455-feed
mutant 'the last row of a picture is never in a crop' src/data/augment.c \
    's/height - b.height + 1, key/height - b.height, key/' t442-augment
mutant 'the first image mixed with itself' src/data/data.c \
    's/(b.lo > 0 ? b.lo : B) - 1/(b.lo > 0 ? b.lo - 1 : 0)/' t450-batch
mutant 'smoothed targets that add up to more' src/data/data.c \
    's/kept \* targets\[i\] + each/targets[i] + each/' t450-batch
mutant 'held-out fractals among the others' src/data/data_fractal.c \
    's/o->is_held_out ? FIRST_HELD_OUT : 0/0/' t446-fractal
mutant 'damage of a JPEG overlooked' src/data/decode_jpeg.c \
    's/f->is_damaged = true/f->is_damaged = false/' t444-decode
mutant 'a part of the row shifted by an image' src/data/feed.c \
    's/first + i - 1/first + i/' t455-feed
mutant 'the batch before given again' src/data/feed.c \
    's/if (f->step != step)/if (f->step < 0)/' t455-feed
mutant 'offsets that go back' src/data/h5set.c \
    's/offset\[j\] < last ||/0 ||/' t448-h5set
mutant 'held-out images in both parts' src/data/order.c \
    's/return i + lo;/return i;/' t448-h5set
mutant 'a digest without labels' src/data/h5set_write.c \
    '/set->digest += h5set_hash(row/d' t448-h5set
mutant 'the colours of a patch of timm turned round' src/exchange/map.c \
    's/(k \* b + j) \* a + i/(k * b + b - 1 - j) * a + i/' t710-exchange
mutant 'the position of the class token forgotten' src/exchange/import.c \
    's/slot == SLOT_CLS)/slot == SLOT_COUNT)/' t710-exchange
mutant 'a damaged checkpoint exported' src/exchange/export.c \
    's/ex->digest\[i\] != e->digest/false/' t711-foreign
mutant 'arrays that overlap' src/exchange/safetensors.c \
    's/a->offset - start != at/a->offset - start > at/' t711-foreign
mutant 'patch embedding counted three times' src/plan/count.c \
    's/TRAIN_NO_INPUT = 2 \* 2/TRAIN_NO_INPUT = 2 * 3/' t120-count
mutant 'a message too few in the plan' src/plan/traffic.c \
    's/messages += times \* one.messages/messages += one.messages/' \
    t140-traffic t500-step
mutant 'second derivatives of a power law' src/fit/powers.c \
    's/T \* h\[k\] \* h\[l\]/T * h[k]/' t800-powers
mutant 'log-Huber rows not reweighted' src/fit/varpro.c \
    's|r <= m->delta ? 1 : m->delta / r|1|' t800-powers
mutant 'the best size with a and b exchanged' src/fit/law.c \
    's|d->alpha \* d->a \* pow|d->alpha * d->b * pow|' t805-law
mutant 'anything is identified' src/fit/fit.c \
    's/hi <= 2 \* lo/hi <= 2000 * lo/' t810-planted
mutant 'residuals of a fit taken for the noise' src/fit/noise.c \
    's|a.squares / n->freedom|0.64 * a.squares / m->rows|' t803-noise
mutant 'noise of a shape taken for that of its runs' src/fit/noise.c \
    's/both > 0 \&\& shared > 0/both > 0 \&\& shared < 0/' t803-noise
mutant 'a design that costs twice as much' src/fit/design_exchange.c \
    's/cost > e->most/cost > 2 * e->most/' t830-design
mutant 'x0 on the edge of the grid' src/fit/pareto.c \
    's/lo < x && x < hi/lo <= x \&\& x < hi/' t835-pareto

mutant 'positions by pixel centres' src/step/resize.c \
    's|(double)(from - 1) / (double)(to - 1)|(double)from / (double)to|' t505-resize
mutant 'kernels as the images' src/step/resize.c 's/    solve(x, a, n, m);/    (void)solve;/' \
    t505-resize
mutant 'a tensor put elsewhere' ckpt/ckpt.c 's/p->lo\[k\] + i % side/i % side/' t512-adopt
mutant 'positions resized in any case' src/step/adopt.c \
    's/positions->entry != NULL \&\& is_resized/positions->entry != NULL/' t512-adopt
mutant 'numbers of 32 bits scaled, not masked' src/eval/permute.c \
    's/x = next_half(p) & mask;/x = next_half(p) % (most + 1);/' t705-permute
mutant 'eigenvalues on some ranks alone' src/eval/ridge_scalapack.c \
    '/TRY_MPI(MPI_Bcast(value/d' t710-ridge
mutant 'columns dealt to the next rank' src/eval/tiles.c \
    's/t->at + local_of(j, g->Q) \* t->rows_l/t->at/' t710-ridge
mutant 'l2 left out' src/eval/ridge_lapack.c 's/(r->value\[i\] + l2)/r->value[i]/' t710-ridge
mutant 'the deviation of a sample' src/eval/scale.c \
    's/(x\[c\] - s->mean\[c\]) \/ n;/(x[c] - s->mean[c]) \/ (n - 1);/' t720-fewshot
mutant 'a constant of 1' src/eval/fewshot.c 's/constant = 100/constant = 1/' t720-fewshot
mutant 'a permutation of a permutation' src/eval/fewshot.c \
    '/memcpy(c->row, from->row/d' t720-fewshot
mutant 'shots of all classes together' src/eval/fewshot.c \
    's/i < c->first\[k\] + shots/i < shots/' t720-fewshot
mutant 'the gradient of the sigmoid loss' src/eval/linear.c \
    's/score\[k\] = 1 \/ (1 + exp(-x)) - target;/score[k] = 1 \/ (1 + exp(-x));/' t715-linear
mutant 'no warm-up' src/eval/descend.c 's/.warmup = steps \/ TENTH/.warmup = 0/' t715-linear
mutant 'pairs in the wrong order' src/eval/lbfgs.c \
    's/k = s->pairs - 1; k >= first; k--/k = first; k < s->pairs; k++/' t715-linear
mutant 'the worst penalty chosen' src/eval/logistic.c \
    's/r->error\[i\] > r->error\[r->chosen\]/r->error[i] < r->error[r->chosen]/' t715-linear
mutant 'columns of the first model rank' src/eval/feature.c \
    's/all\[(m \* l->B_l + i) \* wide/all[i * wide/' t725-feature

ckpt='t462-boxes t464-ckpt'

mutant 'a run starts at the next element' ckpt/box.c \
    's/run.start = b->lo\[i\] \* stride + p % block;/run.start = b->lo[i] * stride + p % block + 1;/' \
    t460-box
mutant 'replicas are written too' ckpt/boxes.c 's/if (is_first_only && !p->is_first)/if (false)/' \
    $ckpt
mutant 'replicas are counted in the digest' ckpt/boxes_move.c \
    's/while (h->is_first && part.p < part.q)/while (part.p < part.q)/' $ckpt
mutant 'the digest forgets where an element is' ckpt/digest.c \
    's/(uint64_t)(index + i + 1) \* golden/golden/' t461-digest
mutant 'a damaged checkpoint is loaded' ckpt/load.c \
    's/l->digest\[e - l->file->entry\] != e->digest/false/' t464-ckpt
mutant 'only the last pass is waited for' ckpt/ckpt.c \
    's/if (pass < c->copy.passes - 1)/if (false)/' t464-ckpt
mutant 'published before it is complete' ckpt/ckpt.c '/TRY(file_complete/d' t464-ckpt
mutant 'a save that failed is published' ckpt/ckpt.c \
    '/^static int next_phase/,/^}/s/if (rc != 0)/if (false)/' t464-ckpt
mutant 'layers in one place' ckpt/file.c 's/int64_t size = t->layer;/int64_t size = 0 * t->layer;/' \
    t464-ckpt
mutant 'the end of a direct write elsewhere' ckpt/direct.c \
    's/tail, offset + head + body)/tail, offset + head)/' t463-direct

mutant 'a bad disk taken for damage' src/io/h5.c \
    's/is_system = why != NULL;/is_system = false;/' t355-h5
mutant 'what a disk does not give taken for missing' src/io/h5.c \
    's/TRY_H5(file->path, \(is_there = H5Lexists(.*)\));/\1 != 0;/' t466-damage
mutant 'a bad disk taken for a file of something else' ckpt/file.c \
    's/rc = ferror(file) ? err_unread(path) : 0;/rc = 0;/' t466-damage
mutant 'a bad disk taken for a set without a format' src/data/h5set.c \
    's/if (rc != ERR_DATA)/if (false)/' t448-h5set

mutant 'the seconds that a process is stopped count' mesh/guard.c \
    's/passed < 2 \* interval ? passed : 2 \* interval/passed/' t315-guard
mutant 'waits not added up' mesh/progress.c \
    '/^void wire_wait(/,/^}/s/\[w->kind\] += await_end/[w->kind] = await_end/' \
    t310-wire
mutant 'a cut line alone in a file stays' src/plan/record.c \
    's/newline != NULL || start == 0/newline != NULL/' t165-record
mutant 'rows without an id are one' src/plan/table.c \
    's/is_last || keyed\[i\].cell->kind == CELL_NONE/is_last/' t160-table
mutant 'shapes that were measured weigh by half the power' src/plan/cost.c \
    's|/ (far \* far)|/ far|' t135-cost
mutant 'of equal logits the last rank has the largest' src/step/metric.c \
    's/a.largest >= b.largest/a.largest > b.largest/' t510-metric
mutant 'minutes of the batch system as hours' src/train/stop.c \
    's/60 \* seconds + (double)number/3600 * seconds + (double)number/' t700-train
mutant 'the slowest mesh' bench/agenda.c 's/rate > fastest/rate < fastest/' t620-agenda
mutant 'a change within ten times the spread is none' bench/changes.c \
    's/noise = 2 \* (/noise = 20 * (/' t670-changes
mutant 'the chance of one rank to be slow, not of any' bench/straggler.c \
    's/return n \* at_least(/return at_least(/' t635-straggler
mutant 'records put behind anything' src/plan/record.c \
    "s/got <= 0 ||/got <= 1 << 17 ||/;s/is \&\& json_is_object(o)/true/" t165-record
mutant 'an operation that no device has' src/plan/machine_file.c \
    's/if (!is_known_op(k->op))/if (false)/' t130-machine
mutant 'a mesh by a batch that does not run' bench/agenda.c \
    's/c->batches > 0 ? least : choose_batch(&s, p);/least;/' t620-agenda
mutant 'options that differ not told' bench/changes.c \
    's/now == NULL || json_equal(then, now))/now == NULL || true)/' t670-changes
mutant 'widths of parts of heads' src/fit/design_exchange.c \
    's/k == 0 ? s->training.heads : 1/1/' t830-design
mutant 'spans of the block behind in the trace' src/step/timeline.c \
    's/s->group - 1)/s->group)/' t662-trace
mutant 'AdamW of five numbers a parameter' src/plan/forecast.c \
    's/"adamw", own \* 7/"adamw", own * 5/' t155-forecast
mutant 'copies in a pass of their own on GPUs' src/plan/forecast.c \
    's/p->size != p->sum && !p->job->is_apart/p->size != p->sum/' t155-forecast
mutant 'threads of one rank have the cores of all' src/plan/cost.c \
    's/threads \* m->ranks_per_node/threads/' t135-cost
mutant 'blocks made again without the output product' src/plan/count.c \
    's/(has_out ? C : 0)/0 * has_out/' t120-count
mutant 'packed weights of all sharded blocks' src/plan/predict.c \
    's/is_cut \&\& n > ROOMS ? ROOMS : n/n/' t150-predict
mutant 'the spread of the other run' bench/changes.c \
    's/c->steps.cv \* c->steps.median/c->steps.cv * before/' t670-changes
mutant 'crops lie across as they lie down' src/data/augment.c \
    's/key, DRAW_X, attempt/key, DRAW_Y, attempt/' t442-augment
mutant 'all images of a last batch counted' src/step/metric.c 's/n - s \* B);/n);/' \
    t510-metric
mutant 'held-out images augmented' src/train/source.c '/with.augment /d' t700-train
mutant 'seconds of ten steps for those of one' src/train/journal.c \
    's/(now - j->last_time) \/ (double)(step - j->last_step)/(now - j->last_time)/' t700-train
mutant 'the last of equal scores' src/eval/linear.c \
    's/score\[k\] > score\[best\]/score[k] >= score[best]/' t715-linear
mutant 'the gradient of a bias in panels begins anew' mesh/cmm_panels.c \
    's/c->db, lo - first, panel.hi - first/c->db, 0, panel.hi - lo/' t350-cmm
mutant 'initial values repeated in long tensors' mesh/shard.c \
    's/item_index(it, p->row + r, 0)/item_index(it, p->row + r - lo, 0)/' t340-shard
mutant 'gathers and scatters with one tag' mesh/flight.c \
    's/h.is_sum  *? TAG_SCATTER/h.is_sum \&\& false ? TAG_SCATTER/' t345-flight
mutant 'an update by a norm that is not finite' src/step/step.c \
    's/ \&\& isfinite(result->grad_norm)//' t500-step
mutant 'a clip of 0 that stops all' src/optim/optim.c \
    's/most > 0 \&\& norm > most/norm > most/' t435-optim
mutant 'groups of a file with dates' src/io/h5.c \
    '/^static int make_group/,/^}/s/obj_track_times(create, false)/obj_track_times(create, true)/' \
    t355-h5
