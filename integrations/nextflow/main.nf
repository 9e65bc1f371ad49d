// `cellmm tiles plan | run | merge` as a workflow: the results of `cellmm predict`.
//   nextflow run integrations/nextflow --images 'slides/*.tif' --config config.py --checkpoint model.pth --outdir results

include { CELLMM_PLAN  } from './modules/cellmm/plan/main'
include { CELLMM_RUN   } from './modules/cellmm/run/main'
include { CELLMM_MERGE } from './modules/cellmm/merge/main'

workflow {
    meta   = [id: params.id]
    images = channel.fromPath(params.images, type: 'any', checkIfExists: true)
        .collect(sort: true)
        .map { found -> [meta, found] }
    model  = channel.value([meta, file(params.config, checkIfExists: true), file(params.checkpoint, checkIfExists: true)])

    CELLMM_PLAN(images, model, params.pieces)

    pieces = CELLMM_PLAN.out.plan.combine(channel.of(0..<params.pieces))
    CELLMM_RUN(pieces, images, model)

    found  = CELLMM_RUN.out.piece.groupTuple(size: params.pieces)
    CELLMM_MERGE(CELLMM_PLAN.out.plan.join(found), images, model)
}
