use super::*;

fn shipped(set: &[&str]) -> Simulated {
    let layers = Layers {
        set: set.iter().map(|&assignment| assignment.to_owned()).collect(),
        ..Layers::default()
    };
    simulated(&[], &layers).unwrap()
}

#[test]
fn the_shipped_roles_are_what_the_simulator_holds_for_them() {
    assert_eq!(shipped(&[]).policies, Policies::shipped());
}

#[test]
fn the_shipped_roles_have_one_pipeline_of_each_kind() {
    let specs = SHIPPED.map(|role| dsl::load_dry(role, &Layers::default()).unwrap());
    let mut kinds = Vec::new();
    for spec in &specs {
        for pipeline in spec.pipelines.values() {
            kinds.push(kind(&pipelines::pipeline(pipeline, spec).unwrap()));
        }
    }
    let count = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!((kinds.len(), count), (8, 8));
}

#[test]
fn a_setting_reaches_the_pipeline_it_names_and_no_other() {
    let given = shipped(&[
        "store.shards=64",
        "analyse.claim.lease=1h",
        "cleanup.source.jobs.batch-max=7",
    ]);
    let mut expected = Policies::shipped().with_shards(64);
    expected.analyse.worker.claim.lease = std::time::Duration::from_hours(1);
    expected.clean.batch_max = 7;
    assert_eq!(given.policies, expected);
}
