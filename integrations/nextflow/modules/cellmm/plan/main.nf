process CELLMM_PLAN {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"

    input:
    tuple val(meta), path(images, stageAs: 'images/*')
    tuple val(meta2), path(config), path(checkpoint)
    val pieces

    output:
    tuple val(meta), path("plan/plan.json"), emit: plan
    tuple val("${task.process}"), val('cellmm'), eval("cellmm --version | cut -d ' ' -f 2"), topic: versions, emit: versions_cellmm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    cellmm tiles plan \\
        images \\
        --config ${config} \\
        --checkpoint ${checkpoint} \\
        --pieces ${pieces} \\
        --out plan \\
        ${args}
    """

    stub:
    """
    mkdir plan
    touch plan/plan.json
    """
}
